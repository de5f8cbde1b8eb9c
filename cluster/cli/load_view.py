"""A load test while it runs: redrawn in place on a terminal, else a line every few seconds. On stderr."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from cluster.cli.session_view import say
from cluster.load.run import Now
from cluster.units import format_duration

REDRAWN_S = 0.25
_FIRST_LINE_S, _LINE_S = 1.0, 5.0
_BAR = 24


class LoadView:
    """Shows how far a test is. Use it in a `with` block."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._live: Any = None
        self._next_line_s = _FIRST_LINE_S

    def __enter__(self) -> LoadView:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(file=sys.stderr), auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, now: Now) -> None:
        """Draw the state of the test."""
        if self._live is not None:
            from rich.text import Text

            self._live.update(Text("\n".join(live_lines(self._title, now)), no_wrap=True), refresh=True)
        elif now.elapsed_s >= self._next_line_s:
            self._next_line_s = now.elapsed_s + _LINE_S
            say(plain_line(now))


def live_lines(title: str, now: Now) -> list[str]:
    """Return the lines that a terminal shows, redrawn in place."""
    ended = now.done + now.failed
    filled = round(_BAR * ended / now.wanted)
    failed = f"  {now.failed:,} failed" if now.failed else ""
    return [
        title,
        f"[{'#' * filled}{'.' * (_BAR - filled)}] {ended:,}/{now.wanted:,}{failed}"
        f"  {now.in_flight:,} in flight  {now.tokens_per_s:,.1f} tokens/s  {format_duration(now.elapsed_s)}",
        f"means so far: TTFT {format_duration(now.ttft_s)}  TPOT {format_duration(now.tpot_s)}"
        f"  E2E {format_duration(now.e2e_s)}   Ctrl-C ends the test",
    ]


def plain_line(now: Now) -> str:
    """Return the state as one line of a log."""
    failed = f", {now.failed:,} failed" if now.failed else ""
    return (
        f"{now.done:,} of {now.wanted:,} answered{failed}, {now.in_flight:,} in flight, "
        f"{now.tokens_per_s:,.1f} tokens/s, TTFT {format_duration(now.ttft_s)}, "
        f"TPOT {format_duration(now.tpot_s)}, E2E {format_duration(now.e2e_s)}"
    )
