"""Decides whether and when a session's next child reconnects after one has ended."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.bridge.events import SessionLost
from cluster.bridge.protocol import Target

_STEADY_S = 60.0
_MOST_TRIES = 5
_FIRST_PAUSE_S = 0.5


@dataclass
class Rejoin:
    """The tries of one session. Pure: times are given, in seconds of a monotonic clock."""

    is_ours: bool
    """The cluster is an embedded one: its end is final, and its keeper knows it for certain."""
    joined: bool = False
    """Some child of this session has seen the cluster."""
    tries: int = 0
    began_s: float = 0.0

    def begin(self, now_s: float) -> None:
        """Note that a child starts."""
        self.began_s = now_s

    def target(self, target: Target) -> Target:
        """Return what the next child joins: a lost cluster is not restarted without being asked to."""
        return target.model_copy(update={"start": False}) if self.joined else target

    def message_is_final(self) -> bool:
        """True while a child that says why it ends need not be followed by another."""
        return self.is_ours or not self.joined

    def pause_s(self, last_message: SessionLost | None, now_s: float) -> float | None:
        """Return the seconds until the next child, None to give up.

        A child that says why it ends will fail again if none has joined yet, or if the cluster is embedded.
        """
        if last_message is not None and self.message_is_final():
            return None
        self.tries = 1 if now_s - self.began_s > _STEADY_S else self.tries + 1
        return None if self.tries > _MOST_TRIES else _FIRST_PAUSE_S * 2.0 ** (self.tries - 1)
