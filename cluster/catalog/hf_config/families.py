"""Model families as data: what a model_type implies that its config.json does not say."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

_DATA = Path(__file__).with_name("families.toml")


@dataclass(frozen=True)
class Family:
    """One model_type. A string where a flag is expected names the config field that holds the flag."""

    model_type: str = ""
    known: bool = True
    architectures: tuple[str, ...] = ()
    tied: bool = False
    """Embedding and head share one matrix unless the config says otherwise."""
    norm: str = "rms"
    """'rms', 'layer' (weight only), 'layer_bias' or 'none'."""
    norms_per_layer: int = 2
    """Norms over the hidden size in a layer with a mixer and a feed-forward part."""
    attention: str = "standard"
    """Mixer of the layers that attend: a name of mixers.MIXERS."""
    recurrent: str = ""
    """Mixer of the layers that keep a state."""
    qkv_bias: bool | str = "attention_bias"
    o_bias: bool | str = "attention_bias"
    qk_norm: str = "none"
    """'head' (one vector of head_dim), 'heads' (one vector a head) or 'full' (over all heads)."""
    qk_norm_if: str = ""
    """Field that switches the norm on."""
    output_gate: str = "none"
    """Gate on the attention output: 'none', 'fused' (as wide as q) or 'per_head'."""
    sinks: bool = False
    """One learned logit a head."""
    mlp: str = "gated"
    mlp_bias: bool | str = "mlp_bias"
    halved_intermediate: bool = False
    """The config states twice the width of the feed-forward part."""
    pattern: tuple[str, ...] = ()
    """Kinds of layer in turn where the config does not list them."""
    overrides: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Kind of layer -> quantity -> config field that replaces it in such layers."""
    experts: str = "gated"
    expert_bias: bool | str = False
    router_bias: bool = False
    router_correction: bool = False
    shared_gate: bool = False
    """A learned gate on the shared expert."""
    shared_always: bool = False
    """Every sparse layer has one shared expert although the config states no number."""
    dense_beside_experts: bool = False
    """A sparse layer also holds the dense feed-forward part."""
    dense_field: str = "intermediate_size"
    """Field with the width of dense layers in a sparse model."""
    position_embedding: bool = False
    """A learned table of positions (its offset in `position_offset`)."""
    position_offset: int = 0
    rotary: bool = True
    rotary_share: float = 1.0
    vision: str = ""
    """Kind of tower when the config has one: a name of vision.TOWERS."""
    supports_pp: bool = True
    mixer_module: str = "self_attn"
    mlp_module: str = "mlp"
    experts_module: str = "mlp"
    extra_vectors: int = 0
    """Further vectors of the hidden size in each layer."""
    defaults: Mapping[str, Any] = field(default_factory=dict)


@cache
def _table() -> dict[str, dict[str, Any]]:
    return tomllib.loads(_DATA.read_text(encoding="utf-8"))


@cache
def _by_architecture() -> dict[str, str]:
    return {name: kind for kind, values in _table().items() for name in values.get("architectures", ())}


def _resolve(model_type: str) -> dict[str, Any]:
    values = dict(_table()[model_type])
    parent = values.pop("extends", None)
    if parent is None:
        return values
    inherited = _resolve(parent)
    inherited.pop("architectures", None)
    for name in ("defaults", "overrides"):
        values[name] = {**inherited.get(name, {}), **values.get(name, {})}
    return {**inherited, **values}


@cache
def find_family(model_type: str, architecture: str) -> Family:
    """Return the family of a config: by model_type, else by architecture, else the generic one."""
    name = model_type if model_type in _table() else _by_architecture().get(architecture, "")
    if not name:
        return Family(model_type=model_type, known=False)
    values = _resolve(name)
    known = {item.name for item in fields(Family)}
    unknown = values.keys() - known
    if unknown:
        raise KeyError(f"families.toml: {name} has unknown keys {sorted(unknown)}")
    lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    return Family(**{**values, **lists, "model_type": name})


def family_names() -> tuple[str, ...]:
    """Return every model_type the table knows."""
    return tuple(_table())
