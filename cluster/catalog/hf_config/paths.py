"""Which modules a checkpoint leaves unconverted: module paths against the patterns that configs list."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from functools import lru_cache

_WRAPPERS = re.compile(r"^(?:model|language_model|backbone|transformer|decoder|text_model|model_nvfp4)\.")
_SPECIAL = re.compile(r"[*?\[]")


def bare_path(path: str) -> str:
    """Return a module path without the wrappers around the decoder: 'layers.3.mlp.down_proj'."""
    while True:
        shorter = _WRAPPERS.sub("", path)
        if shorter == path:
            return path
        path = shorter


class ModuleSet:
    """Module patterns of one list: exact paths, parents, dotted parts, '*' globs and 're:' expressions."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(dict.fromkeys(pattern for pattern in patterns if pattern))
        self._plain = {
            bare_path(p) for p in self.patterns if not p.startswith("re:") and not _SPECIAL.search(p)
        }
        globs = [fnmatch.translate(bare_path(p)) for p in self.patterns if _is_glob(p)]
        self._glob = re.compile("|".join(globs)) if globs else None
        self._expressions = [e for e in (_compile(p[3:]) for p in self.patterns if p.startswith("re:")) if e]
        # Single names ('gate', 'vision_tower') and tails ('mlp.gate') match anywhere in a path.
        self._tails = {p for p in self._plain if not p.startswith("layers.")}

    @property
    def names_layers(self) -> bool:
        """Whether a pattern names a layer by number, so that equal layers may be stored differently."""
        return any(re.search(r"\d|\[", pattern) for pattern in self.patterns)

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and bool(self.patterns) and self._holds(path)

    def _holds(self, path: str) -> bool:
        parts = path.split(".")
        if any(".".join(parts[:end]) in self._plain for end in range(1, len(parts) + 1)):
            return True
        if self._tails and any(
            ".".join(parts[start:end]) in self._tails
            for start in range(len(parts))
            for end in range(start + 1, len(parts) + 1)
        ):
            return True
        if self._glob and (self._glob.match(path) or self._glob.match(f"model.{path}")):
            return True
        return any(
            e.match(prefix + path)
            for e in self._expressions
            for prefix in ("", "model.", "language_model.model.")
        )


def _is_glob(pattern: str) -> bool:
    return not pattern.startswith("re:") and bool(_SPECIAL.search(pattern))


@lru_cache(maxsize=256)
def _compile(expression: str) -> re.Pattern[str] | None:
    # A pattern from a file: bounded, and dropped when it is no expression at all.
    if len(expression) > 400:
        return None
    try:
        return re.compile(expression)
    except re.error:
        return None
