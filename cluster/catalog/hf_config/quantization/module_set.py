"""Match module paths against the patterns that configs list, such as the modules left unquantized."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cluster.catalog.hf_config.quantization.expressions import (
    LONGEST_EXPRESSION,
    Expressions,
    UnusableExpression,
)
from cluster.errors import BadInput
from cluster.text import clean

_WRAPPERS = re.compile(
    r"^(?:(?:model|language_model|backbone|transformer|decoder|text_model|model_nvfp4)\.)+"
)
_SPECIAL = re.compile(r"[*?\[]")
_PREFIXES = ("", "model.", "language_model.model.")


def bare_path(path: str) -> str:
    """Return a module path without the wrappers around the decoder: 'layers.3.mlp.down_proj'."""
    return _WRAPPERS.sub("", path)


class ModuleSet:
    """Module patterns of one list: exact paths, parents, dotted parts, '*' globs and 're:' expressions."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Raises BadInput for an expression that is invalid or cannot be matched in linear time."""
        self.patterns = tuple(dict.fromkeys(pattern for pattern in patterns if pattern))
        self._plain = {
            bare_path(p) for p in self.patterns if not p.startswith("re:") and not _SPECIAL.search(p)
        }
        globs = {bare_path(p) for p in self.patterns if _is_glob(p)}
        # Most globs only end in a star: such a list is a set lookup, not a match per pattern.
        self._beginnings = {glob[:-1] for glob in globs if _is_beginning(glob)}
        self._lengths = {len(beginning) for beginning in self._beginnings}
        self._glob = _expressions(
            {glob: f"{_glob_expression(glob)}\\z" for glob in sorted(globs) if not _is_beginning(glob)}
        )
        self._expressions = _expressions({p: p[3:] for p in self.patterns if p.startswith("re:")})
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
        for spelling in (path, f"model.{path}"):
            if any(spelling[:length] in self._beginnings for length in self._lengths):
                return True
            if self._glob is not None and self._glob.match(spelling):
                return True
        expressions = self._expressions
        return expressions is not None and any(expressions.match(prefix + path) for prefix in _PREFIXES)


def match_cost(pattern: str) -> int:
    """Return the length of a pattern that has to be matched; 0 for one that is looked up."""
    looked_up = not (pattern.startswith("re:") or _is_glob(pattern)) or _is_beginning(pattern)
    return 0 if looked_up else len(pattern)


def _is_beginning(pattern: str) -> bool:
    """Whether a glob says only what a path begins with: 'model.layers.3*'."""
    return pattern.endswith("*") and not pattern.startswith("re:") and not _SPECIAL.search(pattern[:-1])


def _is_glob(pattern: str) -> bool:
    return not pattern.startswith("re:") and bool(_SPECIAL.search(pattern))


def _glob_expression(glob: str) -> str:
    """Write a glob as an expression, as fnmatch reads it: '*', '?', '[abc]', '[!abc]'."""
    written, at = "", 0
    while at < len(glob):
        char, end = glob[at], glob.find("]", at + 2 + glob.startswith("[!", at))
        if char == "[" and end > 0:
            inside = glob[at + 1 : end]
            negated = inside.startswith("!")
            written += f"[{'^' * negated}{_class_members(inside[negated:])}]"
            at = end + 1
            continue
        written += {"*": ".*", "?": "."}.get(char) or re.escape(char)
        at += 1
    return written


def _class_members(inside: str) -> str:
    """Quote what means something in a class, except the dash of a range."""
    return re.sub(r"([\\\[\]^&~|])", r"\\\1", inside)


def _expressions(by_pattern: dict[str, str]) -> Expressions | None:
    """Compile the expressions of a list; None where it has none. Raises BadInput that names the pattern."""
    if not by_pattern:
        return None
    try:
        return Expressions(by_pattern.values())
    except UnusableExpression:
        pattern, reason = _first_unusable(by_pattern)
    raise BadInput(
        f"quantization_config: the pattern '{clean(pattern, 80)}' cannot be used: {clean(reason, 120)}",
        "Write it without lookarounds inside groups and back-references, or list the modules by name",
    )


def _first_unusable(by_pattern: dict[str, str]) -> tuple[str, str]:
    for pattern, expression in by_pattern.items():
        try:
            Expressions([expression])
        except UnusableExpression as error:
            return pattern, str(error)
    return "", f"an expression has more than {LONGEST_EXPRESSION} characters"
