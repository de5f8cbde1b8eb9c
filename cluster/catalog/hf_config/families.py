"""Model families as data: what a model_type implies that its config.json does not say.

One file per model_type in families/. Its keys are the fields of Family; `extends` names a parent file.
Source of each default: the configuration class of that family in huggingface/transformers.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).with_name("families")


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
    final_norm: bool = True
    attention: str = "standard"
    """Mixer of the attention layers: 'standard', 'latent' or 'compressed'."""
    recurrent: str = ""
    """Mixer of the layers that keep a state: a key of recurrent.MIXERS."""
    qkv_bias: bool | str = "attention_bias"
    o_bias: bool | str = "attention_bias"
    qk_norm: str = "none"
    """'head' (one vector of head_dim), 'heads' (one vector per head) or 'full' (over all heads)."""
    qk_norm_if: str = ""
    """Field that switches the norm on."""
    output_gate: str = "none"
    """Gate on the attention output: 'none', 'fused' (as wide as q) or 'per_head'."""
    sinks: bool = False
    """One learned logit per head."""
    mlp: str = "gated"
    mlp_bias: bool | str = "mlp_bias"
    halved_intermediate: bool = False
    """The config states twice the width of the feed-forward part."""
    pattern: tuple[str, ...] = ()
    """Kinds of layer, repeated in this order, if the config does not list them."""
    first_full: bool = False
    """The first layer has full attention whatever the pattern."""
    overrides: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Kind of layer -> quantity -> config field that replaces it in such layers."""
    experts: str = "gated"
    expert_bias: bool | str = False
    router_bias: bool = False
    shared_gate: bool = False
    """A learned gate on the shared expert."""
    shared_always: bool = False
    """Every sparse layer has one shared expert even if the config states no number."""
    dense_beside_experts: bool = False
    """A sparse layer also holds the dense feed-forward part."""
    dense_field: str = "intermediate_size"
    """Field with the width of dense layers in a sparse model."""
    intermediate_factor: int = 0
    """Width of the feed-forward part in hidden sizes where the config states none; 0: it must be stated."""
    shared_module: str = "shared_experts"
    latent_experts: bool = False
    """Experts may work in a narrower space (field moe_latent_size)."""
    parts_per_layer: int = 2
    """1: a layer is either a mixer or a feed-forward part."""
    mixer_only: bool = False
    """Layers have no feed-forward part."""
    parallel_state: bool = False
    """Every layer attends and keeps a state."""
    shared_block: bool = False
    """Every layer keeps a state; before it, some use one block of attention and feed-forward together."""
    latent_gate: str = ""
    """Field that gives latent layers an output gate as wide as their values."""
    value_from_key: str = ""
    """Field that says that full-attention layers have no value projection."""
    normed_state: bool = False
    """Mamba layers normalize their step, B and C."""
    head_bias: bool | str = False
    rotary: bool = True
    supports_pp: bool = True
    mixer_module: str = "self_attn"
    recurrent_module: str = "mamba"
    mlp_module: str = "mlp"
    experts_module: str = "mlp"
    front: tuple[Mapping[str, Any], ...] = ()
    """Further tensors beside the embedding, as extras.py reads them."""
    layer_extras: tuple[Mapping[str, Any], ...] = ()
    attention_extras: tuple[Mapping[str, Any], ...] = ()
    sparse_extras: tuple[Mapping[str, Any], ...] = ()
    final_extras: tuple[Mapping[str, Any], ...] = ()
    counts_audio: bool = False
    """The audio encoder is among `front`."""
    layers_per_block: int = 1
    """Mixers that the config counts as one layer."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    nested_defaults: Mapping[str, Any] = field(default_factory=dict)
    """Defaults that hold inside a wrapper, whose text section leaves out what equals its class."""


@cache
def _read(model_type: str) -> dict[str, Any]:
    return tomllib.loads((_FOLDER / f"{model_type}.toml").read_text(encoding="utf-8"))


@cache
def family_names() -> tuple[str, ...]:
    """Return every model_type that has a file."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


@cache
def _by_architecture() -> dict[str, str]:
    return {name: kind for kind in family_names() for name in _read(kind).get("architectures", ())}


def _resolve(model_type: str) -> dict[str, Any]:
    values = dict(_read(model_type))
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
    name = model_type if model_type in family_names() else _by_architecture().get(architecture, "")
    if not name:
        return Family(model_type=model_type, known=False, intermediate_factor=4)
    values = _resolve(name)
    known = {item.name for item in fields(Family)}
    unknown = values.keys() - known
    if unknown:
        raise KeyError(f"families/{name}.toml has unknown keys {sorted(unknown)}")
    lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    return Family(**{**values, **lists, "model_type": name})
