"""Options that engines got in a certain release: looked up, and refused with the release that has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from cluster.catalog.engine_version import is_between_releases, parse_version
from cluster.errors import BadInput

FirstVersions = Mapping[str, str]
"""Option -> first release that has it; an option that is not listed is in every release."""


def has_option(option: str, version: str, first: FirstVersions) -> bool:
    """Return whether a release has an option. A build after a release is taken for the next release."""
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


def _at_least(version: str, since: str) -> bool:
    try:
        have = parse_version(version)
    except BadInput:
        return True  # a version we cannot read is one of the future, or a private build
    needed = parse_version(since)
    if is_between_releases(version) and "dev" in version:
        # 0.24.0rc1.dev5 is a build on the way to 0.24.0, 0.23.1.dev5 one after 0.23.0.
        return have >= needed or have[:2] == needed[:2]
    return have >= needed


def given(option: str, value: object) -> Iterator[str]:
    """Yield an option with its value, nothing for None."""
    if value is not None:
        yield from (option, str(value))
