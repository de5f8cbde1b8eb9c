"""One line of status: why a key does nothing, progress while connecting, the last message."""

from __future__ import annotations

from typing import Literal

from rich.text import Text
from textual.timer import Timer

from cluster.bridge.events import Progress, SessionLost
from tui.glyphs import FREE, TROUBLE, USED
from tui.styles import Styles
from tui.widgets.text_panel import TextPanel

Kind = Literal["info", "good", "warning", "bad"]
_BAR_CELLS = 20
_SHOWN_S = 15.0
_ANSWER_S = 5.0


class StatusLine(TextPanel):
    """Shows, in this order: a lost session, the answer to a key, progress, the last message, what is idle."""

    def __init__(self, progress: Progress | None = None, id: str | None = None) -> None:
        super().__init__(id=id)
        self.set_class(progress is not None, "-speaking")
        self._lost: SessionLost | None = None
        self._progress = progress
        self._message = self._idle = ""
        self._kind: Kind = "info"
        self._is_answer = False
        self._forgetting: Timer | None = None

    def say(self, message: str, kind: Kind = "info") -> None:
        """Show a message for a while, or until the next one."""
        self._show_message(message, kind, is_answer=False)

    def answer(self, message: str) -> None:
        """Show why a key does nothing now: ahead of progress, but only briefly."""
        self._show_message(message, "info", is_answer=True)

    def _show_message(self, message: str, kind: Kind, *, is_answer: bool) -> None:
        self._message, self._kind, self._is_answer = message, kind, is_answer
        if self._forgetting is not None:
            self._forgetting.stop()
        shown_s = _ANSWER_S if is_answer else _SHOWN_S
        self._forgetting = self.set_timer(shown_s, self._forget) if message else None
        self._changed()

    def show_idle(self, text: str) -> None:
        """Show a line wherever there is nothing else to say."""
        if text != self._idle:
            self._idle = text
            self._changed()

    def _forget(self) -> None:
        self._message = ""
        self._changed()

    def _changed(self) -> None:
        self.set_class(bool(self._message or self._progress or self._lost or self._idle), "-speaking")
        self.refresh()

    def show(self, progress: Progress | None, lost: SessionLost | None) -> None:
        """Show progress while connecting, or that the session is lost."""
        if (progress, lost) != (self._progress, self._lost):
            self._progress, self._lost = progress, lost
            self._changed()

    def draw(self, styles: Styles) -> Text:
        line = Text(" ", no_wrap=True, overflow="ellipsis")
        if self._lost is not None:
            hint = f"  {self._lost.hint}" if self._lost.hint else ""
            return line.append(f"{TROUBLE} {self._lost.reason}{hint}", styles.bad)
        if self._progress is not None and not (self._message and self._is_answer):
            return _progress_text(line, self._progress, styles)
        style = {"info": styles.muted, "good": styles.good, "warning": styles.warning, "bad": styles.bad}[
            self._kind
        ]
        mark = f"{TROUBLE} " if self._kind in ("warning", "bad") and self._message else ""
        return line.append(mark + (self._message or self._idle), style)


def _progress_text(line: Text, progress: Progress, styles: Styles) -> Text:
    if progress.fraction is not None:
        done = round(max(0.0, min(1.0, progress.fraction)) * _BAR_CELLS)
        line.append(USED * done, styles.accent).append(FREE * (_BAR_CELLS - done), styles.free)
        line.append(f" {progress.fraction:>4.0%}  ", styles.plain)
    return line.append(progress.message, styles.muted)
