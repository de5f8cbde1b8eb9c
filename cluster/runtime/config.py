"""The description of a model that the built-in engine computes from, read from a Hugging Face config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.catalog.hf_config.families import find_family
from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.hf_config.layers.attention import is_on
from cluster.errors import BadInput
from cluster.runtime.architectures import ARCHITECTURES, Architecture, find_architecture
from cluster.runtime.rope_config import RopeConfig, read_rope
from cluster.text import clean

_DTYPES = ("bfloat16", "float16", "float32")
_LARGEST_NORM_EPS = 1.0


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
    family = find_family(architecture.model_type, "")
    fields = Fields(config, "config.json", architecture.defaults)
    num_layers, num_heads = fields.integer("num_hidden_layers"), fields.integer("num_attention_heads")
    hidden_size = fields.integer("hidden_size")
    max_position = fields.integer("max_position_embeddings", 2048)
    model = ModelConfig(
        hidden_size=hidden_size,
        intermediate_size=fields.integer("intermediate_size"),
        num_layers=num_layers,
        num_heads=num_heads,
        num_kv_heads=fields.integer("num_key_value_heads", num_heads),
        head_dim=fields.integer("head_dim", hidden_size // num_heads),
        vocab_size=fields.integer("vocab_size"),
        max_position=max_position,
        norm_eps=fields.number("rms_norm_eps", 1e-6, 0.0, _LARGEST_NORM_EPS),
        rope=read_rope(fields, max_position),
        tied_embeddings=fields.flag("tie_word_embeddings"),
        qkv_bias=is_on(fields, family.qkv_bias),
        o_bias=is_on(fields, family.o_bias),
        mlp_bias=is_on(fields, family.mlp_bias),
        qk_norm=family.qk_norm == "head",
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
    """Return the sliding window of each layer in tokens; None for full attention."""
    window = architecture.default_window
    if "sliding_window" in fields.values:
        window = fields.integer("sliding_window", 0, low=0)
    if not window or (architecture.windows_opt_in and not fields.flag("use_sliding_window")):
        return (None,) * num_layers
    if not architecture.windows_opt_in:
        return (window,) * num_layers
    first = fields.integer("max_window_layers", 28, low=0)
    kinds = fields.items("layer_types") or [
        "sliding_attention" if layer >= first else "full_attention" for layer in range(num_layers)
    ]
    if len(kinds) != num_layers:
        raise fields.bad("layer_types", kinds, f"a list of {num_layers} layers")
    return tuple(window if kind == "sliding_attention" else None for kind in kinds)


def _checkpoint_dtype(fields: Fields) -> str:
    name = fields.text("dtype", "float32").removeprefix("torch.")
    return name if name in _DTYPES else "float32"


def _checked(model: ModelConfig, fields: Fields) -> ModelConfig:
    if model.num_heads % model.num_kv_heads:
        raise fields.bad("num_key_value_heads", model.num_kv_heads, f"a divisor of {model.num_heads} heads")
    if model.head_dim % 2 or model.head_dim < 2:
        raise fields.bad("head_dim", model.head_dim, "an even number: rotary embedding turns pairs")
    activation = fields.raw("hidden_act") or "silu"
    if activation not in ("silu", "swish"):
        raise fields.bad("hidden_act", activation, "silu, which is all that the built-in engine computes")
    return model
