"""What a server's output says of its start: step, progress, figures, and why it cannot start."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

from cluster.deploy.rank_report import RankStep
from cluster.engines.startup import LogNews, StartupFacts, StartupPhase, merged

_ORDER = tuple(StartupPhase)
_EXCEPTION = re.compile(r"(?:^|\] )([A-Z]\w{0,60}(?:Error|Exception): .+)")
"""The end of a traceback, alone on its line or after a logger's prefix."""
_STEPS = {
    StartupPhase.STARTING: RankStep.STARTED,
    StartupPhase.LOADING: RankStep.LOADING,
    StartupPhase.PROFILING: RankStep.WARMING_UP,
    StartupPhase.KV_CACHE: RankStep.WARMING_UP,
    StartupPhase.CAPTURING: RankStep.WARMING_UP,
    StartupPhase.LISTENING: RankStep.WARMING_UP,
}


class StartupWatch:
    """Follows a server's log. Its processes log side by side, so a phase never goes back."""

    def __init__(self, read_line: Callable[[str], LogNews | None]) -> None:
        self._read_line = read_line
        self._lock = threading.Lock()
        self.phase = StartupPhase.STARTING
        self.progress: float | None = None
        self.facts = StartupFacts()
        self.permanent_error = ""
        self.first_exception = ""
        """The cause of a failure: processes that notice it log exceptions of their own."""
        self._heard_at_s = time.monotonic()

    @property
    def step(self) -> RankStep:
        return _STEPS[self.phase]

    def silent_s(self) -> float:
        """Return the seconds since the last output."""
        return time.monotonic() - self._heard_at_s

    def hear(self, line: str) -> None:
        """Take in a line of output."""
        self._heard_at_s = time.monotonic()
        if not self.first_exception and (found := _EXCEPTION.search(line)):
            self.first_exception = found.group(1)
        try:
            news = self._read_line(line)
        except Exception:  # a fault in reading one line must not end the reading of all others
            return
        if news is not None:
            with self._lock:
                self._take(news)

    def _take(self, news: LogNews) -> None:
        phase = news.phase or self.phase
        if _ORDER.index(phase) > _ORDER.index(self.phase):
            self.phase, self.progress = phase, None
        if phase is self.phase and news.progress is not None:
            self.progress = min(1.0, max(0.0, news.progress))
        if news.facts is not None:
            self.facts = merged(self.facts, news.facts)
        self.permanent_error = self.permanent_error or news.permanent_error
