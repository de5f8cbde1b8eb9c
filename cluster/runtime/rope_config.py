"""Which rotary embedding a config asks for, in one shape for old and new config files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.errors import BadInput
from cluster.runtime.config_fields import Fields
from cluster.text import clean

KINDS = ("default", "linear", "dynamic", "yarn", "llama3")


@dataclass(frozen=True, slots=True)
class RopeConfig:
    """Rotary embedding and how it is stretched beyond the length the model was trained on."""

    theta: float = 10_000.0
    kind: str = "default"
    factor: float = 1.0
    max_position: int = 2048
    """Length from which `dynamic` starts to stretch."""
    original_max_position: int = 2048
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float | None = None
    mscale: float | None = None
    mscale_all_dim: float | None = None
    truncate: bool = True


def read_rope(config: Mapping[str, Any], max_position: int) -> RopeConfig:
    """Read `rope_parameters` (new files) or `rope_theta` with `rope_scaling` (older ones)."""
    scaling = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(scaling, Mapping):
        raise BadInput("config.json: rope_scaling is not an object", "Fix the field")
    named = Fields(scaling, where="config.json rope")
    kind = named.text("rope_type") or named.text("type") or "default"
    if kind not in KINDS:
        raise BadInput(
            f"The built-in engine does not know the rope type {clean(kind)}", f"It knows {', '.join(KINDS)}"
        )
    fields = Fields({"rope_theta": config.get("rope_theta"), **scaling}, where="config.json rope")
    if kind == "default":
        return RopeConfig(theta=fields.number("rope_theta", default=10_000.0), max_position=max_position)
    return _stretched(fields, kind, config, max_position)


def _stretched(fields: Fields, kind: str, config: Mapping[str, Any], max_position: int) -> RopeConfig:
    outer = Fields(config).count("original_max_position_embeddings", default=max_position)
    original = fields.count("original_max_position_embeddings", default=outer)
    optional = {
        name: fields.number(name)
        for name in ("attention_factor", "mscale", "mscale_all_dim")
        if fields.values.get(name)
    }
    return RopeConfig(
        theta=fields.number("rope_theta", default=10_000.0),
        kind=kind,
        factor=fields.number("factor", default=max_position / original if kind == "yarn" else None),
        max_position=max_position,
        original_max_position=original,
        low_freq_factor=fields.number("low_freq_factor", default=None if kind == "llama3" else 1.0),
        high_freq_factor=fields.number("high_freq_factor", default=None if kind == "llama3" else 4.0),
        beta_fast=fields.number("beta_fast", default=32.0),
        beta_slow=fields.number("beta_slow", default=1.0),
        truncate=fields.values.get("truncate") is None or fields.flag("truncate"),
        **optional,
    )
