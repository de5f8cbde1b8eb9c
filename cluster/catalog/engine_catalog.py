"""Engine profiles from engines/*.toml: one file an engine, with what changed from version to version."""

from __future__ import annotations

import copy
import re
import tomllib
from functools import lru_cache
from importlib import resources
from typing import Any

from cluster.catalog.engine_profile import EngineProfile
from cluster.errors import BadInput, UnknownName

Version = tuple[int, ...]

_VERSION = re.compile(r"[\s~<>=^]*[vV]?([0-9]{1,6}(?:\.[0-9]{1,6})*)")
# Builds between releases, named after the last one, already run what the next one brings.
_BUILD = re.compile(r"dev|rc|nightly|\+")
_MERGED_TABLES = ("constants", "quantizations", "compute_dtypes", "architecture_capabilities")
_NAME_LISTS = (
    "quantizes_on_load",
    "refuses_fp16",
    "packs_latents",
    "architectures",
    "undivided_quantizations",
    "with_pp",
    "without_pp",
    "small_default_gpus",
)


def engine_names() -> tuple[str, ...]:
    """Return the engines that have a data file, by name."""
    folder = resources.files("cluster.catalog") / "engines"
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")))


def parse_version(text: str) -> Version:
    """Read '0.11', 'v0.11.0' or '~0.6.3.post1' as three numbers or more; raise BadInput without a number."""
    found = _VERSION.match(text)
    if found is None:
        raise BadInput(f"engine version {text!r} is not a version", "Write it as in 0.11.0")
    numbers = [int(part) for part in found.group(1).split(".")]
    return tuple(numbers + [0] * (3 - len(numbers)))


@lru_cache(maxsize=64)
def load_engine(name: str, version: str | None = None) -> EngineProfile:
    """Return an engine's profile at a version: the newest block not newer than it, else the oldest known.

    Without a version it is the newest one that the file describes. Raises UnknownName for an engine without a
    file and BadInput for a version that cannot be read.
    """
    if name not in engine_names():
        raise UnknownName(f"engine {name!r} is not known", f"Known engines: {', '.join(engine_names())}")
    data = _read(name)
    wanted = version or str(data["latest"])
    number = parse_version(wanted)
    for block in data["versions"]:
        if parse_version(str(block["from"])) <= number:
            _override(data, block)
    return _profile(data, wanted)


def engine_versions(name: str) -> tuple[str, ...]:
    """Return the versions at which something changed in an engine, newest first."""
    data = _read(name)
    return tuple(dict.fromkeys([str(data["latest"]), *(str(b["from"]) for b in reversed(data["versions"]))]))


@lru_cache(maxsize=8)
def _parsed(name: str) -> dict[str, Any]:
    path = resources.files("cluster.catalog") / "engines" / f"{name}.toml"
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    data.setdefault("versions", [])
    data["versions"].sort(key=lambda block: parse_version(str(block["from"])))
    return data


def _read(name: str) -> dict[str, Any]:
    """Return an engine's file, to be changed at will."""
    return copy.deepcopy(_parsed(name))


@lru_cache(maxsize=8)
def _first_versions(name: str) -> dict[str, str]:
    """Return architectures, and 'rope <type>', with the first version that runs them."""
    path = resources.files("cluster.catalog") / "engines" / "first_versions" / f"{name}.toml"
    if not path.is_file():
        return {}
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    ropes = {f"rope {kind}": version for kind, version in data.get("rope_types", {}).items()}
    return {**data["architectures"], **ropes}


def _not_yet(name: str, version: str) -> dict[str, str]:
    if _BUILD.search(version):
        return {}
    number = parse_version(version)
    return {key: first for key, first in _first_versions(name).items() if parse_version(first) > number}


def _override(data: dict[str, Any], block: dict[str, Any]) -> None:
    for key, value in block.items():
        if key in _MERGED_TABLES:
            data.setdefault(key, {}).update(value)
        elif key != "from":
            data[key] = value


def _profile(data: dict[str, Any], version: str) -> EngineProfile:
    fields = {key: value for key, value in data.items() if key not in ("versions", "latest", "version")}
    fields["dtypes"] = tuple(data.get("dtypes", ("bf16", "fp16", "fp32")))
    fields.update({name: tuple(data.get(name, ())) for name in _NAME_LISTS})
    fields["min_capability"] = tuple(data.get("min_capability", (7, 0)))
    fields["quantizations"] = {key: tuple(cc) for key, cc in data.get("quantizations", {}).items()}
    by_architecture = data.get("architecture_capabilities", {})
    fields["architecture_capabilities"] = {key: tuple(cc) for key, cc in by_architecture.items()}
    fields["compute_dtypes"] = {key: tuple(names) for key, names in data.get("compute_dtypes", {}).items()}
    fields["not_yet"] = _not_yet(str(data["name"]), version)
    fields["newest"] = str(data["latest"])
    fields["constants"] = {key: float(value) for key, value in data.get("constants", {}).items()}
    return EngineProfile(version=version, **fields)
