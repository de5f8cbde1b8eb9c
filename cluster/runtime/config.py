"""The one description of a model that the engine computes from: read from a Hugging Face config, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.errors import BadInput
from cluster.runtime.architectures import ARCHITECTURES, Architecture, find_architecture
from cluster.runtime.config_fields import Fields
from cluster.runtime.rope_config import RopeConfig, read_rope
from cluster.text import clean


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A transformer of the Llama family. Counts are of the whole model, before any split."""

    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    max_position: int
    norm_eps: float
    rope: RopeConfig
    tied_embeddings: bool
    qkv_bias: bool
    o_bias: bool
    mlp_bias: bool
    qk_norm: bool
    windows: tuple[int | None, ...]
    """Sliding window of each layer in tokens, the current one included; None: full attention."""
    eos_token_ids: tuple[int, ...]
    dtype: str
    """Dtype of the checkpoint: 'bfloat16', 'float16' or 'float32'."""

    @property
    def group_size(self) -> int:
        """Query heads that share a KV head."""
        return self.num_heads // self.num_kv_heads


def read_model_config(config: Mapping[str, Any]) -> ModelConfig:
    """Check a Hugging Face config and return what the engine needs; BadInput names the first bad field."""
    architecture = _supported(config)
    fields = Fields(config)
    num_layers = fields.count("num_hidden_layers", at_most=10_000)
    num_heads = fields.count("num_attention_heads")
    hidden_size = fields.count("hidden_size")
    head_dim = fields.count("head_dim", default=architecture.default_head_dim or hidden_size // num_heads)
    max_position = fields.count("max_position_embeddings", default=2048)
    attention_bias = fields.flag("attention_bias")
    model = ModelConfig(
        hidden_size=hidden_size,
        intermediate_size=fields.count("intermediate_size"),
        num_layers=num_layers,
        num_heads=num_heads,
        num_kv_heads=fields.count("num_key_value_heads", default=architecture.default_kv_heads or num_heads),
        head_dim=head_dim,
        vocab_size=fields.count("vocab_size"),
        max_position=max_position,
        norm_eps=fields.number("rms_norm_eps", default=1e-6),
        rope=read_rope(config, max_position),
        tied_embeddings=fields.flag("tie_word_embeddings"),
        qkv_bias=attention_bias if architecture.qkv_bias is None else architecture.qkv_bias,
        o_bias=attention_bias if architecture.qkv_bias is None else False,
        mlp_bias=architecture.mlp_bias and fields.flag("mlp_bias"),
        qk_norm=architecture.qk_norm,
        windows=_windows(fields, architecture, num_layers),
        eos_token_ids=fields.token_ids("eos_token_id"),
        dtype=_checkpoint_dtype(fields),
    )
    return _checked(model, fields)


def _supported(config: Mapping[str, Any]) -> Architecture:
    architecture = find_architecture(config.get("architectures"), config.get("model_type"))
    if architecture is None:
        named = config.get("architectures") or config.get("model_type") or "nothing"
        raise BadInput(
            f"The built-in engine does not run {clean(str(named))}",
            f"It runs {', '.join(sorted(ARCHITECTURES))}; other models need another engine",
        )
    method = config.get("quantization_config")
    if method:
        name = method.get("quant_method", "quantized") if isinstance(method, Mapping) else method
        raise BadInput(
            f"The built-in engine does not run {clean(str(name))} weights",
            "Use the unquantized checkpoint, or another engine",
        )
    return architecture


def _windows(fields: Fields, architecture: Architecture, num_layers: int) -> tuple[int | None, ...]:
    window = fields.optional_count("sliding_window", default=architecture.default_window)
    if window is None or (architecture.windows_opt_in and not fields.flag("use_sliding_window")):
        return (None,) * num_layers
    if not architecture.windows_opt_in:
        return (window,) * num_layers
    first = fields.whole("max_window_layers", default=28)
    kinds = fields.values.get("layer_types") or [
        "sliding_attention" if layer >= first else "full_attention" for layer in range(num_layers)
    ]
    if not isinstance(kinds, list) or len(kinds) != num_layers:
        raise fields.bad("layer_types", f"must list {num_layers} layers")
    return tuple(window if kind == "sliding_attention" else None for kind in kinds)


def _checkpoint_dtype(fields: Fields) -> str:
    name = (fields.text("dtype") or fields.text("torch_dtype") or "float32").removeprefix("torch.")
    return name if name in ("bfloat16", "float16", "float32") else "float32"


def _checked(model: ModelConfig, fields: Fields) -> ModelConfig:
    if model.num_heads % model.num_kv_heads:
        raise fields.bad("num_key_value_heads", f"must divide the {model.num_heads} attention heads")
    if model.head_dim % 2 or model.head_dim < 2:
        raise fields.bad("head_dim", f"is {model.head_dim}: rotary positions need an even number")
    activation = fields.values.get("hidden_act", "silu")
    if activation not in ("silu", "swish"):
        raise fields.bad("hidden_act", f"is {clean(str(activation))}: the built-in engine knows silu")
    return model
