"""Find a model's data file by its hub id or an unambiguous short form of it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cluster.catalog.nearest import nearest_names, squeeze
from cluster.errors import UnknownName
from cluster.text import clean

FOLDER = Path(__file__).parent
# Endings by which quantised variants are named, longest first.
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
# Endings that people leave out when they name a model.
_COMMON_ENDING = re.compile(r"-(instruct|it|chat|hf|base|text)$")


@cache
def _files() -> dict[str, Path]:
    return {path.stem.replace("--", "/", 1): path for path in FOLDER.glob("*.json") if "--" in path.stem}


@cache
def _aliases() -> dict[str, str]:
    """Read the alias list, one file for all models so that one lookup opens two files."""
    listed: dict[str, list[str]] = json.loads((FOLDER / "aliases.json").read_text(encoding="utf-8"))
    return {squeeze(alias): name for name, aliases in listed.items() for alias in aliases}


def catalogue_names() -> tuple[str, ...]:
    """Return the hub ids of every model in the catalogue, sorted."""
    return tuple(sorted(_files(), key=str.lower))


def read_entry(name: str) -> dict[str, Any]:
    """Return the data file of a catalogue id: name, source, config and what is published about it."""
    entry: dict[str, Any] = json.loads(_files()[name].read_text(encoding="utf-8"))
    return entry


def resolve(name: str) -> str | None:
    """Return the catalogue id that `name` means; None when nothing fits.

    Raises UnknownName when a short form fits several models: the hint lists them.
    """
    if name in _files():
        return name
    wanted = squeeze(name)
    if not wanted:
        return None
    found = _by_short_form(wanted) or ([_aliases()[wanted]] if wanted in _aliases() else [])
    if len(found) > 1:
        listed = ", ".join(sorted(found, key=lambda full: (len(full), full))[:8]) + (
            " ..." if len(found) > 8 else ""
        )
        raise UnknownName(f"Model '{clean(name, 80)}' fits {len(found)} models", f"Say which: {listed}")
    return found[0] if found else None


@dataclass(frozen=True)
class NamedVariant:
    """A quantised variant of a catalogue model, told by its name alone."""

    base: str
    method: str


def resolve_variant(name: str) -> NamedVariant | None:
    """Return the catalogue model and method that a name like 'qwen3-14b-awq' means; None when it is none."""
    for ending, method in _ENDINGS.items():
        if name.lower().endswith(ending):
            short = name[: -len(ending)].rsplit("/", 1)[-1]
            base = resolve(short) if len(squeeze(short)) > 3 else None
            if base is not None and not read_entry(base)["config"].get("quantization_config"):
                return NamedVariant(base, method)
    return None


def unknown(name: str) -> UnknownName:
    """Build the error for a name that is neither in the catalogue nor on disk."""
    near = nearest_names(name.rsplit("/", 1)[-1], _short_names()) or nearest_names(name, _files())
    shown = ", ".join(_short_names().get(short, short) for short in near)
    hint = f"Nearest: {shown}" if shown else "Name a hub id, a folder in Hugging Face form or its config.json"
    return UnknownName(f"Unknown model '{clean(name, 120)}'", hint)


@cache
def _short_names() -> dict[str, str]:
    return {name.rsplit("/", 1)[-1].lower(): name for name in _files()}


def _by_short_form(wanted: str) -> list[str]:
    """Return the ids meant by a squeezed short form: exact ones first, then without a common ending."""
    exact = [name for name in _files() if wanted in (squeeze(name), squeeze(name.rsplit("/", 1)[-1]))]
    if exact:
        return exact
    if wanted in _aliases():
        return [_aliases()[wanted]]
    bare = [n for n in _files() if wanted == squeeze(_COMMON_ENDING.sub("", n.rsplit("/", 1)[-1].lower()))]
    return bare or [n for n in _files() if len(wanted) >= 2 and wanted in _words(n)]


def _words(name: str) -> set[str]:
    """Return the parts of a model's short name ('70b', 'llama')."""
    return set(re.split(r"[-_/]", name.rsplit("/", 1)[-1].lower()))
