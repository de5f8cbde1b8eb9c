"""Roughly how many parameters a config describes; the planner's count is exact and goes first where known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the language model's part of a config: multimodal ones nest it."""
    for name in ("text_config", "llm_config", "language_config"):
        nested = config.get(name)
        if isinstance(nested, Mapping):
            return nested
    return config


def count_dense(config: Mapping[str, Any]) -> int:
    """Count the parameters of a dense Llama-shaped config, biases and norms left out."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    head_dim = config.get("head_dim") or hidden // heads
    kv_heads = config.get("num_key_value_heads") or heads
    attention = 2 * hidden * head_dim * (heads + kv_heads)
    mlp = 3 * hidden * config["intermediate_size"]
    vocabulary = config["vocab_size"] * hidden * (1 if config.get("tie_word_embeddings") else 2)
    return int(config["num_hidden_layers"] * (attention + mlp) + vocabulary)


def estimate_parameters(config: Mapping[str, Any]) -> int | None:
    """Estimate from the usual field names, experts included; None where even those are missing."""
    try:
        dense = count_dense({"intermediate_size": 0, **config})
        experts = _first(config, "num_experts", "num_local_experts", "n_routed_experts")
        if not experts:
            return dense
        width = _first(config, "moe_intermediate_size", "intermediate_size")
        layers = config["num_hidden_layers"] - (config.get("first_k_dense_replace") or 0)
        return dense + int(3 * config["hidden_size"] * width * (experts - 1) * layers)
    except (KeyError, TypeError, ZeroDivisionError):
        return None


def _first(config: Mapping[str, Any], *names: str) -> int:
    return next((int(config[name]) for name in names if config.get(name)), 0)
