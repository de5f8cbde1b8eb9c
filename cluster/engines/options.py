"""Options that engines got in a certain release: looked up, and refused with the release that has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from cluster.catalog.engine_version import parse_version
from cluster.errors import BadInput

FirstVersions = Mapping[str, str]
"""Option -> first release that has it; an option that is not listed is in every release."""


def has_option(option: str, version: str, first: FirstVersions) -> bool:
    """Return whether a release has an option. A pre-release counts as its release."""
    since = first.get(option)
    return since is None or _at_least(version, since)


def missing_option(engine: str, options: Iterable[str], version: str, first: FirstVersions) -> str:
    """Return in one line which of `options` a release lacks, with the remedy; '' if it has all."""
    missing = next((option for option in options if not has_option(option, version, first)), None)
    if missing is None:
        return ""
    return f"{engine} {version} has no {missing}: install {engine} {first[missing]} or newer on the nodes"


def gone_value(engine: str, value: str | None, version: str, last: FirstVersions) -> str:
    """Return in one line that a release no longer takes a value, by the first release without it; else ''."""
    since = last.get(value or "")
    if since is None or not _at_least(version, since):
        return ""
    return f"{engine} {version} no longer takes {value}: it was removed in {since}, so choose another method"


def option_of_ours(extra: Iterable[str], ours: Sequence[str]) -> str:
    """Return in one line which of the user's further arguments says where the server runs; else ''.

    A name of `ours` that ends with a hyphen stands for all options that begin with it.
    """
    names = [one.partition("=")[0] for one in extra]
    starts = tuple(one for one in ours if one.endswith("-"))
    found = next((name for name in names if name in ours or name.startswith(starts)), None)
    if found is None:
        return ""
    return f"{found} is set by clusterview, from the plan: leave it out of the engine's further arguments"


def _at_least(version: str, since: str) -> bool:
    try:
        return parse_version(version) >= parse_version(since)
    except BadInput:
        return True  # a version we cannot read is one of the future, or a private build


def given(option: str, value: object) -> Iterator[str]:
    """Yield an option with its value, nothing for None."""
    if value is not None:
        yield from (option, str(value))
