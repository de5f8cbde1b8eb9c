"""The architectures that the built-in engine runs, as data: where each differs from plain Llama."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Architecture:
    """What the config.json of an architecture leaves unsaid."""

    model_type: str
    qkv_bias: bool | None = None
    """None: the config's attention_bias decides, for q, k, v and o alike."""
    qk_norm: bool = False
    """RMS norm over head_dim on queries and keys before the rotation."""
    mlp_bias: bool = False
    """The config's mlp_bias is obeyed."""
    default_kv_heads: int | None = None
    """None: as many as query heads."""
    default_head_dim: int | None = None
    """None: hidden_size / num_attention_heads."""
    default_window: int | None = None
    """Sliding window where the config does not name one."""
    windows_opt_in: bool = False
    """Windows hold only with use_sliding_window, from layer max_window_layers on."""


# Fields and defaults as in transformers' configuration_*.py of the same model types.
ARCHITECTURES: dict[str, Architecture] = {
    "LlamaForCausalLM": Architecture("llama", mlp_bias=True),
    "MistralForCausalLM": Architecture("mistral", qkv_bias=False, default_kv_heads=8, default_window=4096),
    "Qwen2ForCausalLM": Architecture(
        "qwen2", qkv_bias=True, default_kv_heads=32, default_window=4096, windows_opt_in=True
    ),
    "Qwen3ForCausalLM": Architecture(
        "qwen3",
        qk_norm=True,
        default_kv_heads=32,
        default_head_dim=128,
        default_window=4096,
        windows_opt_in=True,
    ),
}


def find_architecture(architectures: object, model_type: object) -> Architecture | None:
    """Return the first supported entry of a config's `architectures`, else the one of its `model_type`.

    A named architecture that is not supported is None even if its model type is: a reward model is no
    causal language model.
    """
    if isinstance(architectures, list) and architectures:
        names = (name for name in architectures if isinstance(name, str))
        return next((ARCHITECTURES[name] for name in names if name in ARCHITECTURES), None)
    return next((known for known in ARCHITECTURES.values() if known.model_type == model_type), None)
