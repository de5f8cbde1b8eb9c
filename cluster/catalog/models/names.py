"""Find a catalog model by its hub id, an alias or an unambiguous short form."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache

from cluster.catalog.models.entries import FOLDER, model_files, read_entry
from cluster.catalog.nearest import nearest_names, squeeze
from cluster.errors import UnknownName
from cluster.text import clean

# Endings by which quantized variants are named, longest first.
_ENDINGS = {
    "-fp8-dynamic": "fp8_dynamic",
    "-fp8-block": "fp8_block",
    "-fp8": "fp8",
    "-nvfp4": "nvfp4",
    "-fp4": "nvfp4",
    "-awq-int4": "awq",
    "-awq": "awq",
    "-gptq-int4": "gptq",
    "-gptq-int8": "gptq_int8",
    "-gptq": "gptq",
    "-int4": "int4",
    "-int8": "int8",
    "-w4a16": "int4",
    "-w8a8": "int8",
    "-quantized.w8a8": "int8",
    "-quantized.w4a16": "int4",
    "-bnb-4bit": "bitsandbytes",
}
# Endings that people leave out.
_COMMON_ENDING = re.compile(r"-(instruct|it|chat|hf|base|text)$")


@cache
def _aliases() -> dict[str, str]:
    """Return squeezed alias -> hub id. One file for all models, so that a lookup opens few files."""
    listed: dict[str, list[str]] = json.loads((FOLDER / "aliases.json").read_text(encoding="utf-8"))
    return {squeeze(alias): name for name, aliases in listed.items() for alias in aliases}


def resolve(name: str) -> str | None:
    """Return the hub id of the catalog model that `name` means; None when nothing matches.

    Raises UnknownName when a short form matches several models: the hint lists them.
    """
    if name in model_files():
        return name
    wanted = squeeze(name)
    if not wanted:
        return None
    found = _by_short_form(wanted) or ([_aliases()[wanted]] if wanted in _aliases() else [])
    if len(found) > 1:
        listed = ", ".join(sorted(found, key=lambda full: (len(full), full))[:8]) + (
            " ..." if len(found) > 8 else ""
        )
        raise UnknownName(
            f"Model name '{clean(name, 80)}' is ambiguous: {len(found)} models match",
            f"Use a full name: {listed}",
        )
    return found[0] if found else None


@dataclass(frozen=True)
class NamedVariant:
    """A quantized variant of a catalog model, derived from its name alone."""

    base: str
    method: str


def resolve_variant(name: str) -> NamedVariant | None:
    """Return the catalog model and method that a name like 'qwen3-14b-awq' means; None if it is not one."""
    for ending, method in _ENDINGS.items():
        if name.lower().endswith(ending):
            short = name[: -len(ending)].rsplit("/", 1)[-1]
            base = resolve(short) if len(squeeze(short)) > 3 else None
            if base is not None and not read_entry(base)["config"].get("quantization_config"):
                return NamedVariant(base, method)
    return None


def unknown(name: str, more: str = "") -> UnknownName:
    """Return the error for a name that is neither in the catalog nor on disk; `more` ends its hint."""
    near = nearest_names(name.rsplit("/", 1)[-1], _short_names()) or nearest_names(name, model_files())
    shown = ", ".join(_short_names().get(short, short) for short in near)
    suggestion = f"Did you mean {shown}?" if shown else ""
    other = more or ("" if shown else "Give a hub id, a folder in Hugging Face format or a config.json")
    hint = " ".join(filter(None, (suggestion, other)))
    return UnknownName(f"Unknown model '{clean(name, 120)}'", hint)


@cache
def _short_names() -> dict[str, str]:
    return {_short(name): name for name in model_files()}


def _by_short_form(wanted: str) -> list[str]:
    """Return the hub ids that match a short form: exactly, else without a common ending, else by part."""
    exact = [name for name in model_files() if wanted in (squeeze(name), squeeze(name.rsplit("/", 1)[-1]))]
    if exact:
        return exact
    if wanted in _aliases():
        return [_aliases()[wanted]]
    bare = [name for name in model_files() if wanted == squeeze(_COMMON_ENDING.sub("", _short(name)))]
    return bare or [name for name in model_files() if len(wanted) >= 2 and wanted in _words(name)]


def _short(name: str) -> str:
    """Return a hub id without its organization, in lower case."""
    return name.rsplit("/", 1)[-1].lower()


def _words(name: str) -> set[str]:
    """Return the parts of a model's short name ('70b', 'llama')."""
    return set(re.split(r"[-_/]", _short(name)))
