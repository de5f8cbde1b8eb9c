"""Engine profiles from engines/*.toml: one file per engine, with what changed from version to version."""

from __future__ import annotations

import tomllib
from functools import cache, lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.engine_profile.file import NOTHING, EngineFile, read_engine_file, read_first_versions
from cluster.catalog.typed_table import TableError
from cluster.errors import UnknownName


def engine_names() -> tuple[str, ...]:
    """Return the engines that have a data file, by name."""
    names = (file.name for file in (_catalog() / "engines").iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


@lru_cache(maxsize=64)
def load_engine(name: str, version: str | None = None) -> EngineProfile:
    """Return an engine's profile at a version: the newest block not newer than it, else the oldest known.

    Without a version it is the newest one that the file describes. Raises UnknownName for an engine without a
    file and BadInput for a version that cannot be read. A file of ours that is broken raises TableError.
    """
    if name not in engine_names():
        raise UnknownName(f"unknown engine {name!r}", f"Known engines: {', '.join(engine_names())}")
    file = _engine_file(name)
    return file.at(version or file.newest)


def engine_versions(name: str) -> tuple[str, ...]:
    """Return the versions at which something changed in an engine, newest first."""
    file = _engine_file(name)
    return tuple(dict.fromkeys([file.newest, *reversed(file.changes)]))


@cache
def load_trainer() -> EngineProfile:
    """Return a trainer as an engine profile: shapes must divide, nothing is padded, packed or copied."""
    file = read_engine_file("trainer.toml", _toml("trainer.toml"))
    return file.at(file.newest)


@cache
def _engine_file(name: str) -> EngineFile:
    file, first = f"engines/{name}.toml", f"engines/first_versions/{name}.toml"
    first_versions = read_first_versions(first, _toml(first)) if (_catalog() / first).is_file() else NOTHING
    return read_engine_file(file, _toml(file), first_versions)


def _toml(file: str) -> dict[str, Any]:
    try:
        return tomllib.loads((_catalog() / file).read_text(encoding="utf-8"))
    except ValueError as error:
        raise TableError(f"{file}: not TOML: {error}") from error


def _catalog() -> Traversable:
    return resources.files("cluster.catalog")
