"""Playing a recording on the main screen: its keys, and the line that says where it is."""

from __future__ import annotations

from textual.binding import Binding, BindingType
from textual.screen import Screen

from cluster.bridge.session import Session
from cluster.recording.moment import shown_moment, shown_span
from cluster.recording.session import SPEEDS, ReplayPosition, ReplaySession
from tui.context import AppContext
from tui.glyphs import DOT

_JUMP_S = 60.0

REPLAY_KEYS: list[BindingType] = [
    Binding("space", "replay('pause')", "Pause", key_display="space"),
    Binding("comma", "replay('back')", "Step", key_display=",."),
    Binding("full_stop", "replay('forward')", show=False),
    Binding("left_square_bracket", "replay('slower')", "Speed", key_display="[]"),
    Binding("right_square_bracket", "replay('faster')", show=False),
    Binding("less_than_sign", "replay('earlier')", "Minute", key_display="<>"),
    Binding("greater_than_sign", "replay('later')", show=False),
]
"""They exist only while a recording is played, ahead of what these keys do otherwise."""


class ReplayKeys(Screen[None]):
    """The actions of those keys."""

    app_context: AppContext

    def action_replay(self, what: str) -> None:
        """Carry out a key, where a recording is played."""
        session = replay_of(self.app_context.session)
        if session is not None:
            control(session, what)


def replay_of(session: Session) -> ReplaySession | None:
    """Return the session if it plays a recording."""
    return session if isinstance(session, ReplaySession) else None


def control(session: ReplaySession, what: str) -> None:
    """Pause, step, jump a minute, or change the speed."""
    position = session.position
    if what == "pause":
        session.set_playing(not position.is_playing)
    elif what in ("back", "forward"):
        session.step(forward=what == "forward")
    elif what in ("earlier", "later"):
        session.seek_by(_JUMP_S if what == "later" else -_JUMP_S)
    else:
        session.set_speed(_next_speed(position.speed, 1 if what == "faster" else -1))


def _next_speed(speed: float, by: int) -> float:
    return SPEEDS[min(max(SPEEDS.index(speed) + by, 0), len(SPEEDS) - 1)]


def replay_line(position: ReplayPosition) -> str:
    """Say where a recording is: 'REPLAY 2026-11-28 14:05:30 · 5:30 of 1:00:00 · 4x · paused'."""
    parts = [
        f"REPLAY {shown_moment(position.at_s)}",
        f"{shown_span(position.at_s - position.first_at_s)} of "
        f"{shown_span(position.last_at_s - position.first_at_s)}",
        f"{position.speed:g}x",
    ]
    if not position.is_playing:
        parts.append("ended" if position.is_at_end else "paused")
    return f" {DOT} ".join(parts)
