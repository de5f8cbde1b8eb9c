"""Engine versions as users and release pages write them."""

from __future__ import annotations

import re

from cluster.errors import BadInput

Version = tuple[int, ...]

_VERSION = re.compile(r"[\s~<>=^]*[vV]?([0-9]{1,6}(?:\.[0-9]{1,6})*)")
# Builds between releases are named after the last one but already run what the next one adds.
# A local label alone (0.32.0+cpu) is the release itself, built for other hardware.
_BUILD = re.compile(r"dev|rc|nightly|\+g[0-9a-f]")


def parse_version(text: str) -> Version:
    """Read '0.11', 'v0.11.0' or '~0.6.3.post1' as three numbers or more; raise BadInput without a number."""
    found = _VERSION.match(text)
    if found is None:
        raise BadInput(f"{text!r} is not an engine version", "Write it like 0.11.0")
    numbers = [int(part) for part in found.group(1).split(".")]
    return tuple(numbers + [0] * (3 - len(numbers)))


def is_between_releases(text: str) -> bool:
    """Return whether a version names a build after one release and before the next."""
    return _BUILD.search(text) is not None


def is_cpu_build(text: str) -> bool:
    """Return whether a version's local label says that it is built for CPUs: '0.32.0+cpu'."""
    return text.partition("+")[2].partition(".")[0] == "cpu"


def is_same_release(one: str, other: str) -> bool:
    """Return whether two versions name the same code: '0.32', 'v0.32.0' and '0.32.0+cpu' do."""
    return _release(one) == _release(other)


def _release(text: str) -> Version | str:
    plain = text.strip().removeprefix("v") if is_between_releases(text) else text.partition("+")[0].strip()
    return parse_version(plain) if re.fullmatch(r"[vV]?[0-9.]+", plain) else plain
