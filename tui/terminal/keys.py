"""Turns the terminal's bytes into keys: no byte and no sequence can crash the app.

Textual's own reader decodes strictly, its parser raises on some sequences (measured on 8.2.8: `ESC [ : u`),
and it hands long sequences inside a paste on as key presses. Here a paste never reaches the parser.
"""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable, Iterator

from textual import events
from textual._xterm_parser import BRACKETED_PASTE_END, BRACKETED_PASTE_START, XTermParser
from textual.message import Message

from tui.filters import printable

LONGEST_PASTE = 1_000_000
"""Characters of one paste that are kept."""
PASTE_SILENT_S = 5.0
"""A paste without an end marker is over after this long without a byte, or keys would stop working."""
MOST_CELLS = 500_000
"""A reported size beyond this is line noise."""
_HELD_BACK = len(BRACKETED_PASTE_END) - 1
_REMEMBERED = ("last_x", "last_y", "mouse_pixels", "terminal_size", "terminal_pixel_size")


class KeyReader:
    """Turns bytes, split anywhere, into messages for the app."""

    def __init__(self, debug: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._debug, self._clock = debug, clock
        self._parser = XTermParser(debug)
        self._tail = ""
        """The last characters, which may be the beginning of a marker."""
        self._pasted: list[str] | None = None
        self._pasted_length = 0
        self._heard_s = clock()

    def feed(self, data: bytes) -> list[Message]:
        """Parse bytes into messages."""
        self._heard_s = self._clock()
        messages: list[Message] = []
        text = self._decoder.decode(data)
        while text:
            take = self._take_keys if self._pasted is None else self._take_paste
            found, text = take(text)
            messages.extend(found)
        return messages

    def tick(self) -> list[Message]:
        """Return what a pause means: an escape key, or the end of a broken paste."""
        if self._pasted is not None and self._clock() - self._heard_s > PASTE_SILENT_S:
            return self._end_paste(self._tail)
        try:
            return list(self._parser.tick())
        except Exception:
            self._start_afresh()
            return []

    def _take_keys(self, text: str) -> tuple[list[Message], str]:
        """Parse up to the beginning of a paste; return the messages and the text that is left."""
        joined = self._tail + text
        start = joined.find(BRACKETED_PASTE_START)
        if start < 0:
            self._tail = joined[-_HELD_BACK:]
            return list(self._parsed(text)), ""
        end = start + len(BRACKETED_PASTE_START) - len(self._tail)
        self._tail, self._pasted, self._pasted_length = "", [], 0
        return list(self._parsed(text[:end])), text[end:]

    def _take_paste(self, text: str) -> tuple[list[Message], str]:
        """Collect up to the end of the paste; return its message and the text that is left."""
        joined = self._tail + text
        end = joined.find(BRACKETED_PASTE_END)
        if end < 0:
            self._keep(joined[:-_HELD_BACK])
            self._tail = joined[-_HELD_BACK:]
            return [], ""
        return self._end_paste(joined[:end]), joined[end + len(BRACKETED_PASTE_END) :]

    def _keep(self, text: str) -> None:
        if self._pasted is not None:
            self._pasted.append(text[: max(0, LONGEST_PASTE - self._pasted_length)])
            self._pasted_length += len(text)

    def _end_paste(self, last: str) -> list[Message]:
        self._keep(last)
        text = "".join(self._pasted or ())
        self._tail, self._pasted = "", None
        # The parser saw the beginning; it must see the end, and its own empty paste is dropped.
        seen = [item for item in self._parsed(BRACKETED_PASTE_END) if not isinstance(item, events.Paste)]
        lines = text.splitlines()
        return [*seen, events.Paste("\n".join(map(printable, lines)))] if lines else seen

    def _parsed(self, text: str) -> Iterator[Message]:
        for character in text:
            try:
                yield from filter(_is_sane, list(self._parser.feed(character)))
            except Exception:
                # Only the sequence at fault is lost, not what comes after it.
                self._start_afresh()

    def _start_afresh(self) -> None:
        """Start a new parser; one that raised cannot continue."""
        fresh = XTermParser(self._debug)
        for name in _REMEMBERED:
            setattr(fresh, name, getattr(self._parser, name))
        self._parser = fresh


def _is_sane(message: Message) -> bool:
    """Drop a size that no terminal has."""
    return not isinstance(message, events.Resize) or 0 < message.size.area <= MOST_CELLS
