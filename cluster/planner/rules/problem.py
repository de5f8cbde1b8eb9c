"""A rule that does not hold, before a mend for it was looked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule's name and its figures."""

    rule: str
    message: str
    expert: bool = False
    """The weights concerned are experts, so that expert parallelism is a way out."""
