"""The memory that a server of this model and layout would report: plausible, and computed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GIB = 2**30
_DTYPE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "auto": 2, "half": 2, "float": 4}
_ACTIVATION_BYTES, _NON_TORCH_BYTES = int(1.25 * GIB), int(0.5 * GIB)


@dataclass(frozen=True)
class Figures:
    """Of each GPU."""

    weights_bytes: int
    kv_cache_bytes: int
    kv_cache_tokens: int
    max_model_len: int
    activation_bytes: int = _ACTIVATION_BYTES
    non_torch_bytes: int = _NON_TORCH_BYTES
    graph_bytes: int = int(0.4 * GIB)

    @property
    def max_concurrency(self) -> float:
        return self.kv_cache_tokens / self.max_model_len


def read_config(model: str) -> dict[str, Any]:
    """Return the model's config.json; {} for a hub id."""
    path = Path(model) / "config.json"
    loaded: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return loaded


def figures(
    model: str,
    *,
    num_ranks: int,
    tp: int,
    dtype: str,
    max_model_len: int | None,
    budget_bytes: int,
    kv_cache_bytes: int | None,
) -> Figures:
    """Return the figures of a rank of `num_ranks`, of which `tp` share each layer."""
    config = read_config(model)
    hidden = config.get("hidden_size", 4096)
    layers = config.get("num_hidden_layers", 32)
    middle = config.get("intermediate_size", 4 * hidden)
    heads = config.get("num_attention_heads", 32)
    kv_heads = config.get("num_key_value_heads", heads)
    vocabulary = config.get("vocab_size", 32000)
    head_dim = config.get("head_dim") or hidden // heads
    size = _DTYPE_BYTES.get(dtype, 2)
    layer = hidden * head_dim * (2 * heads + 2 * kv_heads) + 3 * hidden * middle
    weights = (layer * layers + 2 * hidden * vocabulary) * size // num_ranks
    length = max_model_len or config.get("max_position_embeddings", 4096)
    room = kv_cache_bytes or max(0, budget_bytes - weights - _ACTIVATION_BYTES - _NON_TORCH_BYTES)
    stages = max(1, num_ranks // tp)
    token = 2 * layers // stages * max(1, kv_heads // tp) * head_dim * size
    return Figures(weights, room, room // token // 16 * 16, length)
