"""Which rotary embedding a config asks for, in one shape for old and new config files."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.catalog.hf_config.fields import REQUIRED, Fields
from cluster.catalog.hf_config.layers.rotary import rope_section
from cluster.errors import BadInput

# Far beyond any model: only there so that a broken file cannot turn into an overflow.
_SMALLEST, _LARGEST = 1e-9, 1e15

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


def read_rope(fields: Fields, max_position: int) -> RopeConfig:
    """Read `rope_parameters` (new files) or `rope_theta` with `rope_scaling` (older ones).

    Raises BadInput for a kind of scaling that the built-in engine does not compute.
    """
    section = rope_section(fields)
    kind = section.text("rope_type") or section.text("type") or "default"
    if kind not in KINDS:
        raise BadInput(
            f"The built-in engine does not compute rope type {kind}", f"It computes {', '.join(KINDS)}"
        )
    theta = _number(section, "rope_theta", _number(fields, "rope_theta", 10_000.0))
    if kind == "default":
        return RopeConfig(theta=theta, max_position=max_position)
    return _stretched(fields, section, kind, theta, max_position)


def _stretched(fields: Fields, section: Fields, kind: str, theta: float, max_position: int) -> RopeConfig:
    original = section.integer(
        "original_max_position_embeddings", fields.integer("original_max_position_embeddings", max_position)
    )
    needs_frequencies = kind == "llama3"
    return RopeConfig(
        theta=theta,
        kind=kind,
        factor=_number(section, "factor", max_position / original if kind == "yarn" else REQUIRED),
        max_position=max_position,
        original_max_position=original,
        low_freq_factor=_number(section, "low_freq_factor", REQUIRED if needs_frequencies else 1.0),
        high_freq_factor=_number(section, "high_freq_factor", REQUIRED if needs_frequencies else 4.0),
        beta_fast=_number(section, "beta_fast", 32.0),
        beta_slow=_number(section, "beta_slow", 1.0),
        attention_factor=_optional(section, "attention_factor"),
        mscale=_optional(section, "mscale"),
        mscale_all_dim=_optional(section, "mscale_all_dim"),
        truncate=section.flag("truncate", True),
    )


def _number(section: Fields, name: str, default: float) -> float:
    return section.number(name, default, _SMALLEST, _LARGEST)


def _optional(section: Fields, name: str) -> float | None:
    """Return a number, None where it is absent or 0: both mean that the scale is computed."""
    return _number(section, name, REQUIRED) if section.raw(name) else None
