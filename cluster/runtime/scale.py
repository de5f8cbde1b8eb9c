"""Scaled-down models for simulated clusters: a few megabytes, split over ranks as the full model would be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cluster.runtime.architectures import find_architecture
from cluster.runtime.config_fields import Fields
from cluster.runtime.parameter_estimate import count_dense, estimate_parameters, text_config

NUM_LAYERS = 4
HIDDEN_SIZE = 64
HEAD_COLUMNS = 256
INTERMEDIATE_SIZE = 128
# One token per byte, plus room for special tokens.
VOCAB_SIZE = 320
MAX_POSITION = 4096
EXPERT_FIELDS = ("num_experts", "num_local_experts", "n_routed_experts")


def scale_config(
    config: Mapping[str, Any], tp: int, pp: int = 1, parameters: int | None = None
) -> tuple[dict[str, Any], str]:
    """Return a config small enough for half a core, and a phrase that says how it differs from the model.

    The numbers of heads and KV heads stay, and the MLP is divisible by `tp` only if the model's is, so that
    the same splits succeed and fail. Architectures that the built-in engine does not support (experts, latent
    attention, state layers) become a dense model, and the phrase says so. `parameters` is the model's true
    count if known; otherwise it is estimated from the config.
    """
    source = text_config(config)
    fields = Fields(source)
    architecture = find_architecture(config.get("architectures"), config.get("model_type"))
    stand_in = _why_stand_in(config, source, architecture is not None)
    names = config.get("architectures") or [] if architecture and not stand_in else ["LlamaForCausalLM"]
    heads = min(fields.count("num_attention_heads", default=8), 512)
    kv_heads = _kv_heads(fields, heads)
    num_layers = fields.count("num_hidden_layers", default=NUM_LAYERS)
    scaled = {
        "architectures": list(names),
        "model_type": architecture.model_type if architecture and not stand_in else "llama",
        "hidden_size": HIDDEN_SIZE,
        "intermediate_size": _intermediate(fields, tp),
        "num_hidden_layers": max(pp, min(num_layers, NUM_LAYERS)),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": max(2, min(16, 2 * (HEAD_COLUMNS // heads // 2))),
        "vocab_size": VOCAB_SIZE,
        "max_position_embeddings": MAX_POSITION,
        "rms_norm_eps": 1e-6,
        "sliding_window": None,
        "tie_word_embeddings": bool(source.get("tie_word_embeddings")),
        "dtype": "float32",
    }
    share = _share(source, scaled, parameters)
    return scaled, f"{share}, {stand_in}" if stand_in else share


def _why_stand_in(config: Mapping[str, Any], source: Mapping[str, Any], known: bool) -> str:
    """Return why a dense model runs instead; '' if the model's own architecture runs."""
    if any(source.get(name) for name in EXPERT_FIELDS):
        return "a dense stand-in: the built-in engine does not support experts"
    if source.get("kv_lora_rank"):
        return "a dense stand-in: the built-in engine does not support latent attention"
    if known:
        return ""
    if not config.get("architectures") and not config.get("model_type"):
        return "a Llama stand-in: the config does not name an architecture"
    return "a dense stand-in: the built-in engine does not support this architecture"


def _kv_heads(fields: Fields, heads: int) -> int:
    """Return the number of KV heads, a divisor of `heads`; 1 for latent attention."""
    if fields.values.get("kv_lora_rank"):
        return 1
    return math.gcd(heads, fields.count("num_key_value_heads", default=heads))


def _intermediate(fields: Fields, tp: int) -> int:
    full = fields.count("intermediate_size", default=INTERMEDIATE_SIZE * tp)
    size = tp * -(-max(INTERMEDIATE_SIZE, tp) // tp)
    return size if full % tp == 0 else size + 1


def _share(source: Mapping[str, Any], scaled: Mapping[str, Any], parameters: int | None) -> str:
    full, about = (parameters, "") if parameters else (estimate_parameters(source), "about ")
    size = f"{about}1/{_rounded(full / count_dense(scaled)):,} of the parameters" if full else "a tiny model"
    layers = f"{scaled['num_hidden_layers']}{_of(source, 'num_hidden_layers')} layers"
    return f"{size} ({layers}, hidden {scaled['hidden_size']}{_of(source, 'hidden_size')})"


def _of(source: Mapping[str, Any], name: str) -> str:
    return f" of {source[name]}" if source.get(name) else ""


def _rounded(ratio: float) -> int:
    """Round to two significant figures."""
    unit = 10 ** max(0, math.floor(math.log10(max(1.0, ratio))) - 1)
    return int(max(1, round(ratio / unit) * unit))
