"""The driver of a Linux or macOS terminal: accepts any byte, and tracks what the terminal shows."""

from __future__ import annotations

import os
import selectors
from typing import Any

from textual.drivers.linux_driver import LinuxDriver

from tui.terminal.frame import Frame
from tui.terminal.keys import KeyReader

_READ_BYTES = 65_536
_TICK_S = 0.1


class TerminalDriver(LinuxDriver):
    """Textual's driver with a reader that survives any input."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.frame = Frame()

    def start_application_mode(self) -> None:
        """Enter the alternate screen, which is empty: at the start, and after every suspension."""
        self.frame.forget()
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def _run_input_thread(self) -> None:
        """Run the reader; an exception in it ends the app like any other."""
        try:
            self.run_input_thread()
        except Exception as error:
            self._app.call_later(self._app._handle_exception, error)

    def run_input_thread(self) -> None:
        """Read keys until the app ends; a terminal that is gone ends the app."""
        reader = KeyReader(self._debug)
        with selectors.DefaultSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                messages = []
                if selector.select(_TICK_S):
                    data = self._read()
                    if not data:
                        self._app.call_later(self._app.exit)
                        return
                    messages = reader.feed(data)
                for message in [*messages, *reader.tick()]:
                    self.process_message(message)

    def _read(self) -> bytes:
        """Read what is available; nothing when the terminal has hung up."""
        try:
            return os.read(self.fileno, _READ_BYTES)
        except BlockingIOError:
            return b"\0"
        except OSError:
            return b""
