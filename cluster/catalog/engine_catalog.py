"""Engine profiles and timings from engines/*.toml: one file per engine and all its versions."""

from __future__ import annotations

import tomllib
from functools import cache, lru_cache
from typing import Any

from cluster.catalog.engine_names import catalog_folder, engine_names
from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.engine_profile.file import NOTHING, EngineFile, read_engine_file, read_first_versions
from cluster.catalog.engine_version import Version, parse_version
from cluster.catalog.timing_spec import EngineTiming
from cluster.catalog.typed_table import TableError, located, read_table
from cluster.errors import UnknownName

__all__ = ["engine_names", "engine_timing", "engine_versions", "load_engine", "load_trainer"]


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
    is_there = (catalog_folder() / first).is_file()
    first_versions = read_first_versions(first, _toml(first)) if is_there else NOTHING
    profiles = read_engine_file(file, _toml(file), first_versions)
    # Read here too, so that a mistake in this table fails when the engine is loaded.
    _timings(name)
    return profiles


def engine_timing(name: str, version: str) -> EngineTiming:
    """Return an engine's overheads at a version: those of the newest block not newer than it.

    Raises TableError for a table that is missing or wrong.
    """
    wanted = parse_version(version)
    return next(timing for first, timing in reversed(_timings(name)) if first <= wanted)


@cache
def _timings(name: str) -> tuple[tuple[Version, EngineTiming], ...]:
    """Return (first version, overheads), oldest first; each [[timing.versions]] overrides those before it."""
    file = f"engines/{name}.toml"
    values = dict(_toml(file).get("timing", {}))
    blocks = values.pop("versions", [])
    with located(f"{file}, timing"):
        found: list[tuple[Version, EngineTiming]] = [((0,), read_table(EngineTiming, values))]
    for block in blocks:
        first = block.get("from", "")
        values |= {key: value for key, value in block.items() if key != "from"}
        with located(f"{file}, timing from {first}"):
            found.append((parse_version(first), read_table(EngineTiming, values)))
    return tuple(found)


@cache
def _toml(file: str) -> dict[str, Any]:
    try:
        return tomllib.loads((catalog_folder() / file).read_text(encoding="utf-8"))
    except ValueError as error:
        raise TableError(f"{file}: not TOML: {error}") from error
