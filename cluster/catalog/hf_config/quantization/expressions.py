"""Regular expressions from config files, matched in linear time whatever they are.

RE2 does the matching: its cost grows with the expression and the path, never exponentially. RE2 has no
lookarounds, which some checkpoints use ('^(?!.*vision).*'). One outside of groups is evaluated apart, at each
place where the parts before it can end; one inside a group is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cluster.packages import require

LONGEST_EXPRESSION = 4096
_MOST_LOOKAROUNDS = 8
# Flags in front hold for the whole expression, so for each part of it.
_FLAGS = re.compile(r"\(\?[ims]+\)")
_LOOKAROUNDS = {"(?=": (True, False), "(?!": (False, False), "(?<=": (True, True), "(?<!": (False, True)}


class UnusableExpression(ValueError):
    """An expression that is invalid or cannot be matched in linear time; the text says why."""


@dataclass(frozen=True)
class _Look:
    """A lookaround: whether `program` must hold at a place, read ahead of it or behind."""

    program: Any
    wanted: bool
    behind: bool

    def holds(self, path: str, at: int) -> bool:
        # Cut, not bounded: RE2's end of text is that of the whole text.
        found = self.program.search(path[:at]) if self.behind else self.program.match(path, at)
        return (found is not None) == self.wanted


class Expressions:
    """Several expressions; a path matches when one of them matches from its start, as re.match would."""

    def __init__(self, expressions: Iterable[str]) -> None:
        """Raises UnusableExpression for the first that cannot be used."""
        plain: list[str] = []
        self._sequences: list[tuple[Any, ...]] = []
        for expression in expressions:
            for parts in _alternatives(expression):
                if len(parts) == 1:
                    plain.append(parts[0])
                else:
                    self._sequences.append(tuple(_programs(parts)))
        self._plain = _joined(plain)

    def match(self, path: str) -> bool:
        """Whether one of the expressions matches at the start of `path`."""
        if any(program.match(path) for program in self._plain):
            return True
        return any(_match_sequence(sequence, path) for sequence in self._sequences)


def _joined(expressions: list[str]) -> list[Any]:
    """One program for all where that is small enough: a single pass then answers for all of them."""
    for expression in expressions:
        _compile(expression)
    if len(expressions) < 2:
        return [_compile(expression) for expression in expressions]
    try:
        return [_compile("|".join(f"(?:{expression})" for expression in expressions))]
    except UnusableExpression:
        return [_compile(expression) for expression in expressions]


def _compile(expression: str) -> Any:
    require("re2")  # only models whose config lists expressions need it
    import re2

    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    try:
        return re2.compile(expression, options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        shown = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise UnusableExpression(shown or "it is not a regular expression") from None


def _programs(parts: list[str]) -> Iterator[Any]:
    """Compile pieces and lookarounds: 'a(?!b)c' came as ['a', '(?!', 'b', 'c']."""
    rest = iter(parts)
    for part in rest:
        if part not in _LOOKAROUNDS:
            yield _compile(part)
            continue
        wanted, behind = _LOOKAROUNDS[part]
        inner = next(rest)
        yield _Look(_compile(rf"(?:{inner})\z" if behind else inner), wanted, behind)


def _match_sequence(sequence: tuple[Any, ...], path: str) -> bool:
    """Follow the places where each part can end; each part is asked once for each start and end at most."""
    places = {0}
    for part in sequence:
        if isinstance(part, _Look):
            places = {at for at in places if part.holds(path, at)}
        else:
            places = {
                end
                for at in places
                for end in range(at, len(path) + 1)
                if part.fullmatch(path, at, end) is not None
            }
        if not places:
            return False
    return True


def _alternatives(expression: str) -> Iterator[list[str]]:
    """Split at each '|' outside of groups, and each alternative at the lookarounds outside of groups.

    Only expressions with lookarounds are split: for all others RE2 reads the whole.
    """
    if len(expression) > LONGEST_EXPRESSION:
        raise UnusableExpression(
            f"it has {len(expression):,} characters; the limit is {LONGEST_EXPRESSION:,}"
        )
    expression = _as_re2_writes(expression)
    if not any(mark in expression for mark in _LOOKAROUNDS):
        yield [expression]
        return
    found = _FLAGS.match(expression)
    flags = found[0] if found else ""
    alternatives: list[list[str]] = [[""]]
    for token, depth in _tokens(expression[len(flags) :]):
        _take(alternatives, token, depth)
    for parts in alternatives:
        if sum(part in _LOOKAROUNDS for part in parts) > _MOST_LOOKAROUNDS:
            raise UnusableExpression(f"it has more than {_MOST_LOOKAROUNDS} lookarounds")
        yield [part if part in _LOOKAROUNDS else flags + part for part in parts]


def _take(alternatives: list[list[str]], token: str, depth: int) -> None:
    """Add a token to the last alternative; the content of a lookaround is a part of its own."""
    parts = alternatives[-1]
    open_look = len(parts) > 1 and parts[-2] in _LOOKAROUNDS
    if token in _LOOKAROUNDS:
        if depth:
            raise UnusableExpression("a lookaround inside a group cannot be matched in linear time")
        parts += [token, ""]
    elif open_look and depth == 0:
        if token != ")":
            raise UnusableExpression("a lookaround cannot be repeated")
        parts.append("")
    elif token == "|" and depth == 0:
        alternatives.append([""])
    elif token in ("*", "+", "?", "{") and depth == 0 and parts[-1] == "" and len(parts) > 1:
        raise UnusableExpression("a lookaround cannot be repeated")
    else:
        parts[-1] += token


def _tokens(expression: str) -> Iterator[tuple[str, int]]:
    """Yield escapes, classes, openings and single characters with the depth of groups around them."""
    at, depth = 0, 0
    while at < len(expression):
        token = _token_at(expression, at)
        at += len(token)
        depth -= token == ")"
        if depth < 0:
            raise UnusableExpression("unexpected )")
        yield token, depth
        depth += token.startswith("(")
    if depth:
        raise UnusableExpression("missing )")


def _token_at(expression: str, at: int) -> str:
    char = expression[at]
    if char == "\\":
        return expression[at : at + 2]
    if char == "[":
        return expression[at : _class_end(expression, at)]
    if char == "(":
        looks = (mark for mark in _LOOKAROUNDS if expression.startswith(mark, at))
        return next(looks, char)
    return char


def _class_end(expression: str, at: int) -> int:
    """Return the end of the character class that begins at `at`; a ']' in front belongs to it."""
    end = at + 1
    end += expression.startswith("^", end)
    end += expression.startswith("]", end)
    while end < len(expression) and expression[end] != "]":
        end += 2 if expression[end] == "\\" else 1
    return min(end + 1, len(expression))


def _as_re2_writes(expression: str) -> str:
    r"""Write what Python spells differently: '\Z' is '\z', and 'a{,3}' is 'a{0,3}'."""
    if r"\Z" not in expression and "{," not in expression:
        return expression
    written, at = "", 0
    while at < len(expression):
        token = _token_at(expression, at)
        follows = expression[at + 1 : at + 2]
        at += len(token)
        written += r"\z" if token == r"\Z" else "{0" if token == "{" and follows == "," else token
    return written
