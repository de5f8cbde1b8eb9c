"""The output of a server: cleaned lines, the last of which are kept."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable

from cluster.deploy.log_page import LONGEST_LINE
from cluster.text import clean

KEPT_LINES = 2000
_LONGEST_BYTES = 4 * LONGEST_LINE
_ENDS = re.compile(rb"(\r?\n|\r(?!\n))")
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
"""Sequences that colour text or move the cursor. No part can match in two ways: the time is linear."""


class ServerLog:
    """Splits output into lines, tells a listener each one, and keeps the last ones. Safe for threads.

    A line that ends in a carriage return is a state of a progress bar: it is told, but not kept.
    """

    def __init__(self, on_line: Callable[[str], None], *, secret: str = "") -> None:
        """`secret` is never shown, should the server print it."""
        self._on_line, self._secret = on_line, secret
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._count = 0
        self._unfinished, self._is_cut = b"", False
        self._lock = threading.Lock()

    def feed(self, chunk: bytes) -> None:
        """Take in output as it comes, in pieces of any size."""
        data = self._unfinished + chunk
        # Whether a carriage return at the end is followed by a line feed is not known yet.
        held = b"\r" if data.endswith(b"\r") else b""
        *whole, rest = _ENDS.split(data[: len(data) - len(held)])
        for text, end in zip(whole[::2], whole[1::2], strict=True):
            self._take(text, is_progress=end == b"\r")
        self._unfinished = rest + held
        if len(self._unfinished) > _LONGEST_BYTES:
            self._take(self._unfinished, is_progress=False)
            self._unfinished, self._is_cut = b"", True

    def _take(self, text: bytes, *, is_progress: bool) -> None:
        is_rest, self._is_cut = self._is_cut, False
        line = "" if is_rest else self.shown(text)
        if not line:
            return
        if not is_progress:
            with self._lock:
                self._lines.append(line)
                self._count += 1
        self._on_line(line)

    def shown(self, text: bytes) -> str:
        """Return output as text that may be shown: no escape sequences, no secret, not too long."""
        words = _ESCAPES.sub("", text[:_LONGEST_BYTES].decode("utf-8", "replace"))
        if self._secret:
            words = words.replace(self._secret, "***")
        return clean(words, LONGEST_LINE).rstrip()

    def page(self, first: int, most: int) -> tuple[int, tuple[str, ...]]:
        """Return the number of the first line and at most `most` lines from number `first` on.

        Lines are counted from the start of the process. A negative `first` counts from the end; lines that
        are no longer kept are skipped.
        """
        with self._lock:
            oldest = self._count - len(self._lines)
            start = max(oldest, first if first >= 0 else self._count + first)
            lines = tuple(self._lines)[start - oldest :][: max(0, most)]
        return start, lines

    @property
    def last_line(self) -> str:
        """The last line; '' before the first."""
        with self._lock:
            return self._lines[-1] if self._lines else ""
