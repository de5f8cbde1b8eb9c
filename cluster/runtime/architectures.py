"""The architectures that the built-in engine runs, and what their config.json leaves to transformers.

Which biases and norms they have is in the catalog's families. The defaults here are those of transformers'
configuration_*.py of the same model type: a checkpoint has to be computed as transformers computes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Architecture:
    """One architecture that the built-in engine runs."""

    model_type: str
    defaults: Mapping[str, int] = field(default_factory=dict)
    """Values of fields that a config does not state."""
    default_window: int | None = None
    """Sliding window in tokens where the config has no such field; a field that is null means no window."""
    windows_opt_in: bool = False
    """Windows apply only with use_sliding_window, from layer max_window_layers on."""


ARCHITECTURES: dict[str, Architecture] = {
    "LlamaForCausalLM": Architecture("llama"),
    "MistralForCausalLM": Architecture("mistral", {"num_key_value_heads": 8}, default_window=4096),
    "Qwen2ForCausalLM": Architecture(
        "qwen2", {"num_key_value_heads": 32}, default_window=4096, windows_opt_in=True
    ),
    "Qwen3ForCausalLM": Architecture(
        "qwen3", {"num_key_value_heads": 32, "head_dim": 128}, default_window=4096, windows_opt_in=True
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
