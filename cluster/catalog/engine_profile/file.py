"""Read an engine's file: its tables, and what changes in them from version to version.

All versions are read when the file is loaded, so that a mistake in any of them fails at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from cluster.catalog.engine_profile.profile import EngineProfile
from cluster.catalog.engine_profile.support import NotYet
from cluster.catalog.engine_version import Version, is_between_releases, parse_version
from cluster.catalog.typed_table import TableError, located, read_table
from cluster.errors import BadInput

Tables = dict[str, Any]

NOTHING = NotYet({}, {})
_NO_PROFILE = ("name", "latest", "versions", "timing")
"""Keys of the file that are not part of a profile: `engine_catalog.engine_timing` reads the timing."""
_IDENTITY = ("name", "version", "newest", "not_yet")
"""Fields of a profile that are no tables of the file."""


@dataclass(frozen=True, slots=True)
class EngineFile:
    """Every version that one file describes."""

    profiles: tuple[tuple[Version, EngineProfile], ...]
    """(first version it holds for, profile), oldest first; the first of all is the file without overrides."""
    changes: tuple[str, ...]
    """Versions from which something changed, as the file writes them, oldest first."""
    first_versions: NotYet = NOTHING
    """Architectures and rotary scalings with the version that was the first to run them."""

    @property
    def newest(self) -> str:
        """The newest version that the file describes."""
        return self.profiles[0][1].newest

    def at(self, version: str) -> EngineProfile:
        """Return the profile of a version: of the newest block not newer than it, else of the oldest.

        Raises BadInput for a version that cannot be read.
        """
        number = parse_version(version)
        profile = [profile for first, profile in self.profiles if first <= number][-1]
        return replace(profile, version=version, not_yet=self._not_yet(version))

    def _not_yet(self, version: str) -> NotYet:
        if is_between_releases(version):
            return NOTHING
        number, first = parse_version(version), self.first_versions
        return NotYet(_later(first.architectures, number), _later(first.rope_types, number))


def _later(versions: dict[str, str], number: Version) -> dict[str, str]:
    return {name: first for name, first in versions.items() if parse_version(first) > number}


def read_engine_file(file: str, data: Mapping[str, Any], first_versions: NotYet = NOTHING) -> EngineFile:
    """Read a parsed engine file. Raises TableError that names the file, the version block and the key.

    Each `[[versions]]` block overrides what stands before it from its version on: tables are merged key by
    key, anything else is replaced. Its `removes` lists optional tables, by dotted name, that this version no
    longer has.
    """
    with located(f"{file}, base"):
        heading = read_table(_Heading, {key: data[key] for key in ("name", "latest") if key in data})
        _check_version("latest", heading.latest)
    tables = {key: value for key, value in data.items() if key not in _NO_PROFILE}
    with located(file):
        blocks = sorted(_blocks(data.get("versions", [])), key=lambda block: parse_version(block.first))
    with located(f"{file}, base"):
        profiles: list[tuple[Version, Tables, EngineProfile]] = [((0,), tables, _profile(heading, tables))]
    for block in blocks:
        with located(f"{file}, from {block.first}"):
            tables = block.applied_to(tables)
            profiles.append((parse_version(block.first), tables, _profile(heading, tables, profiles[-1][1:])))
    by_version = tuple((first, profile) for first, _, profile in profiles)
    return EngineFile(by_version, tuple(block.first for block in blocks), first_versions)


def read_first_versions(file: str, data: Mapping[str, Any]) -> NotYet:
    """Read the file of the versions that were the first to run an architecture; raises TableError."""
    with located(file):
        first = read_table(NotYet, data)
        for name, version in (*first.architectures.items(), *first.rope_types.items()):
            _check_version(name, version)
    return first


@dataclass(frozen=True, slots=True)
class _Heading:
    """What an engine's file says of itself."""

    name: str
    latest: str
    """The newest version that it describes."""


class _Block(NamedTuple):
    """What one version changes."""

    first: str
    removes: tuple[str, ...]
    overrides: Tables

    def applied_to(self, tables: Tables) -> Tables:
        """Return the tables as they are from this version on; those that stay as they were are shared."""
        for dotted in self.removes:
            tables = _without(tables, dotted.split("."), dotted)
        return _merged(tables, self.overrides)


def _blocks(blocks: object) -> Iterator[_Block]:
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise TableError("versions: expected [[versions]] tables")
    for number, block in enumerate(blocks):
        _check_version(f"versions[{number}].from", block.get("from"))
        removes = block.get("removes", [])
        if not isinstance(removes, list) or not all(isinstance(dotted, str) for dotted in removes):
            raise TableError(f"versions[{number}].removes: expected a list of tables, found {removes!r}")
        overrides = {key: value for key, value in block.items() if key not in ("from", "removes")}
        yield _Block(block["from"], tuple(removes), overrides)


def _check_version(key: str, text: object) -> None:
    try:
        parse_version(text if isinstance(text, str) else "")
    except BadInput as error:
        raise TableError(f"{key}: expected a version as in '0.11.0', found {text!r}") from error


def _merged(old: Tables, new: Tables) -> Tables:
    """Return the tables with every key of `new` in place; tables in both are merged the same way."""
    both = {
        key: _merged(old[key], value)
        for key, value in new.items()
        if isinstance(value, dict) and isinstance(old.get(key), dict)
    }
    return {**old, **new, **both}


def _without(tables: Tables, path: list[str], dotted: str) -> Tables:
    first, *rest = path
    if not isinstance(tables.get(first), dict):
        raise TableError(f"removes: there is no table {dotted} to remove")
    if rest:
        return {**tables, first: _without(tables[first], rest, dotted)}
    return {key: value for key, value in tables.items() if key != first}


def _profile(
    heading: _Heading, tables: Tables, earlier: tuple[Tables, EngineProfile] | None = None
) -> EngineProfile:
    for key in _IDENTITY:
        if key in tables:
            raise TableError(f"{key}: unknown key")
    identity = {"name": heading.name, "version": heading.latest, "newest": heading.latest}
    not_yet: Tables = {"architectures": {}, "rope_types": {}}
    return read_table(EngineProfile, {**identity, "not_yet": not_yet, **tables}, earlier=earlier)
