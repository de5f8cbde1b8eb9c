"""Everything that threads and widgets tell the screen."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message


@dataclass
class StoreChanged(Message):
    """The store holds something new; later ones replace earlier ones that nobody has read."""

    bubble = False

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, StoreChanged)


@dataclass
class DisabledKeyClicked(Message):
    """A dimmed key of the key bar was clicked."""

    action: str


@dataclass
class CandidateHighlighted(Message):
    """The cursor of the layout list moved."""

    key: str
