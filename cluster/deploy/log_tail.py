"""Follows one server's log by pages: what to ask for next, and which lines are new. Pure."""

from __future__ import annotations

from cluster.deploy.log_page import LogPage

MARK = "---"
"""How lines begin that are about the log itself."""
RESTARTED = f"{MARK} the server was started again {MARK}"


class LogTail:
    """Begins with the last `lines` lines of a log."""

    def __init__(self, lines: int) -> None:
        self.first = -lines
        """Line to ask for next; negative: counted from the end."""
        self.note = ""
        """Why there are no lines, from the last page."""
        self._start: int | None = None

    def take(self, page: LogPage) -> list[str]:
        """Return the new lines of a page, with a line for a restart and for lines that were missed."""
        self.note = page.note
        if self._start not in (None, page.start):
            # Its first lines may not be in this page, which was asked for with a number of the old process.
            self._start, self.first = page.start, 0
            return [RESTARTED]
        if not page.lines:
            return []
        self._start = page.start
        missed = page.first - self.first if self.first >= 0 else 0
        self.first = page.next
        gap = [f"{MARK} {missed:,} lines were dropped {MARK}"] if missed > 0 else []
        return [*gap, *page.lines]
