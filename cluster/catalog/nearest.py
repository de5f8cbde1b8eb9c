"""Suggestions for a mistyped name: the known names that resemble it most."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_SEPARATORS = re.compile(r"[^a-z0-9.+]+")


def squeeze(name: str) -> str:
    """Return `name` in lower case without separators: 'RTX 4090' and 'rtx-4090' become 'rtx4090'."""
    return _SEPARATORS.sub("", name.lower())


def nearest_names(name: str, known: Iterable[str], count: int = 5) -> list[str]:
    """Return up to `count` names of `known` that resemble `name`: names that contain it come first."""
    by_squeezed = {squeeze(candidate): candidate for candidate in known}
    wanted = squeeze(name)
    holding = [full for short, full in sorted(by_squeezed.items()) if wanted and wanted in short]
    alike = [by_squeezed[match] for match in difflib.get_close_matches(wanted, by_squeezed, count, 0.5)]
    return list(dict.fromkeys(holding[:count] + alike))[:count]
