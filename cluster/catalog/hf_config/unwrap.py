"""Find the language model inside a config: multimodal ones nest it next to a vision or audio tower."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.catalog.hf_config.families import Family, find_family
from cluster.catalog.hf_config.fields import Fields

_TEXT_SECTIONS = ("text_config", "llm_config", "language_config", "thinker_config")
_TOWER_SECTIONS = ("vision_config", "visual", "vit_config")
# What a wrapper states for the whole model, the language model included.
_SHARED = (
    "architectures",
    "dtype",
    "torch_dtype",
    "tie_word_embeddings",
    "quantization_config",
    "hf_quant_config",
)


@dataclass(frozen=True)
class Unwrapped:
    """The language model's fields and family, and the tower beside it."""

    fields: Fields
    family: Family
    tower: Fields | None
    audio: Fields | None
    """The section of an audio encoder."""
    architecture: str
    top_type: str
    """model_type of the whole config."""


def unwrap(config: Mapping[str, Any], source: str) -> Unwrapped:
    """Return the parts of a config.json."""
    top = Fields(config, source)
    text: Mapping[str, Any] = config
    levels = [config]
    for name in (*_TEXT_SECTIONS, *_TEXT_SECTIONS):
        section = Fields(text, source).section(name)
        if section is not None:
            text = {**{key: text[key] for key in _SHARED if key in text}, **section.values}
            levels.append(text)
    architecture = _architecture(config)
    family = find_family(Fields(text, source).text("model_type"), architecture)
    if not family.known:
        family = find_family(top.text("model_type"), architecture)
    towers = (_tower(level, source) for level in levels)
    audios = (Fields(level, source).section("audio_config") for level in levels)
    defaults = {**family.nested_defaults, **family.defaults} if len(levels) > 1 else family.defaults
    # Text-only architectures of a family with towers keep the section but load no tower.
    return Unwrapped(
        Fields(_with_nested(text), source, defaults),
        family,
        next((tower for tower in towers if tower is not None), None),
        next((audio for audio in audios if audio is not None), None),
        architecture or family.model_type,
        top.text("model_type"),
    )


def _tower(config: Mapping[str, Any], source: str) -> Fields | None:
    sections = (Fields(config, source).section(name) for name in _TOWER_SECTIONS)
    return next((section for section in sections if section is not None), None)


def _with_nested(text: Mapping[str, Any]) -> Mapping[str, Any]:
    """Lift fields that some configs keep one level down (attn_config, ffn_config)."""
    lifted: dict[str, Any] = {}
    for section in ("attn_config", "ffn_config"):
        nested = text.get(section)
        if isinstance(nested, Mapping):
            lifted |= {key: value for key, value in nested.items() if key not in text}
    return {**lifted, **text} if lifted else text


def _architecture(config: Mapping[str, Any]) -> str:
    listed = config.get("architectures")
    if isinstance(listed, list) and listed and isinstance(listed[0], str):
        return Fields({"name": listed[0]}, "").text("name")
    return ""
