"""The messages that threads, widgets and screens post."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message


@dataclass
class StoreChanged(Message):
    """The store has changed; a later message replaces an unread earlier one."""

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


@dataclass
class ReconnectRequested(Message):
    """The user wants to join the lost cluster again. Handled by the app, which owns the session."""


@dataclass
class SimulationRequested(Message):
    """The simulated cluster is to be opened instead of this one. Handled by the app."""


@dataclass
class PlaceChosen(Message):
    """A node or GPU of the map was clicked."""

    again: bool
    """The cursor was on it already."""
