"""Scaled-down models for simulated clusters: a few megabytes, split over ranks as the full model would be."""

from __future__ import annotations

import math
from typing import Any

from cluster.catalog.hf_config import model_from_config
from cluster.catalog.model_spec import AttentionKind, ModelSpec
from cluster.runtime.architectures import ARCHITECTURES, find_architecture

NUM_LAYERS = 4
HIDDEN_SIZE = 64
HEAD_COLUMNS = 256
INTERMEDIATE_SIZE = 128
VOCAB_SIZE = 320
"""One token per byte, plus room for special tokens."""
MAX_POSITION = 4096
_STAND_IN = "LlamaForCausalLM"
_DEFAULT_HEADS, _MOST_HEADS = 8, 512


def scale_config(model: ModelSpec, tp: int, pp: int = 1) -> tuple[dict[str, Any], str]:
    """Return a config small enough for half a core, and a phrase that says how it differs from the model.

    The numbers of heads and KV heads stay, and the MLP is divisible by `tp` only if the model's is, so that
    the same splits succeed and fail. Architectures that the built-in engine does not support (experts, latent
    attention, state layers) become a dense model, and the phrase says so.
    """
    stand_in = _why_stand_in(model)
    name = _STAND_IN if stand_in else model.architecture
    heads = min(model.num_attention_heads or _DEFAULT_HEADS, _MOST_HEADS)
    scaled = {
        "architectures": [name],
        "model_type": ARCHITECTURES[name].model_type,
        "hidden_size": HIDDEN_SIZE,
        "intermediate_size": _intermediate_size(model, tp),
        "num_hidden_layers": max(pp, min(model.num_layers, NUM_LAYERS)),
        "num_attention_heads": heads,
        "num_key_value_heads": _kv_heads(model, heads),
        "head_dim": max(2, min(16, 2 * (HEAD_COLUMNS // heads // 2))),
        "vocab_size": VOCAB_SIZE,
        "max_position_embeddings": MAX_POSITION,
        "rms_norm_eps": 1e-6,
        "sliding_window": None,
        "tie_word_embeddings": model.tied_embeddings,
        "dtype": "float32",
    }
    share = _share(model, scaled)
    return scaled, f"{share}, {stand_in}" if stand_in else share


def _why_stand_in(model: ModelSpec) -> str:
    """Return why a dense model runs instead; '' if the model's own architecture runs."""
    if model.is_moe:
        return "a dense stand-in: the built-in engine does not support experts"
    if _is_latent(model):
        return "a dense stand-in: the built-in engine does not support latent attention"
    if not model.architecture:
        return "a Llama stand-in: the config does not name an architecture"
    if find_architecture([model.architecture], None) is None:
        return "a dense stand-in: the built-in engine does not support this architecture"
    return ""


def _is_latent(model: ModelSpec) -> bool:
    return any(layer.attention.kind is AttentionKind.LATENT for layer in model.layers)


def _kv_heads(model: ModelSpec, heads: int) -> int:
    """Return the number of KV heads, a divisor of `heads`; 1 for latent attention."""
    return 1 if _is_latent(model) else math.gcd(heads, model.num_kv_heads or heads)


def _intermediate_size(model: ModelSpec, tp: int) -> int:
    size = tp * -(-max(INTERMEDIATE_SIZE, tp) // tp)
    return size if model.intermediate_size % tp == 0 else size + 1


def _share(model: ModelSpec, scaled: dict[str, Any]) -> str:
    small = model_from_config(scaled, model.name, "stand-in")
    layers = f"{small.num_layers} of {model.num_layers} layers"
    hidden = f"hidden {small.hidden_size} of {model.hidden_size}"
    return f"1/{_rounded(model.parameters / small.parameters):,} of the parameters ({layers}, {hidden})"


def _rounded(ratio: float) -> int:
    """Round to two significant figures."""
    unit = 10 ** max(0, math.floor(math.log10(max(1.0, ratio))) - 1)
    return int(max(1, round(ratio / unit) * unit))
