"""A real terminal for tests: a program on a pty, its bytes read as they come."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Sequence
from types import TracebackType

ESCAPES = re.compile(
    rb"\x1b(\[[0-9;:?<=>]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[ -/]*[0-~])"
)


class Terminal:
    """Runs `python -c/-m ...` on a pty of a size. `output` holds everything it wrote."""

    def __init__(
        self, arguments: Sequence[str], size: tuple[int, int] = (80, 24), **environment: str
    ) -> None:
        self.output = b""
        self.status: int | None = None
        self._arguments, self._size = [sys.executable, *arguments], size
        self._environment = {**os.environ, "TERM": "xterm-256color", "TEXTUAL_ANIMATIONS": "none"}
        self._environment.update({"LC_ALL": "C.UTF-8", **environment})

    def __enter__(self) -> Terminal:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            # A test run in the background of a shell ignores SIGINT, and so would the program.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.execve(self._arguments[0], self._arguments, self._environment)
        width, height = self._size
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.before = termios.tcgetattr(self._fd)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._fd)

    def read_until(self, words: bytes, timeout_s: float = 60.0) -> None:
        """Read until the program has written `words`; escape sequences between characters do not count."""
        end = time.monotonic() + timeout_s
        while words not in ESCAPES.sub(b"", self.output):
            if not self._read(end - time.monotonic()):
                raise AssertionError(f"{words!r} never came; the end was {self.output[-2000:]!r}")

    def read_for(self, timeout_s: float) -> bool:
        """Wait for bytes at most so long and take in what there is; False when none came."""
        return self._read(timeout_s)

    def read_while_busy(self, quiet_s: float, timeout_s: float = 60.0) -> None:
        """Read until nothing was written for `quiet_s`, or until the time is over."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end and self._read(quiet_s):
            pass

    def send(self, keys: bytes) -> None:
        """Type."""
        os.write(self._fd, keys)

    def wait(self, timeout_s: float = 60.0) -> int:
        """Read until the program has ended; return its exit status, or minus its signal."""
        if not self.ends_within(timeout_s):
            raise AssertionError("the program does not end")
        assert self.status is not None
        return self.status

    def ends_within(self, timeout_s: float) -> bool:
        """Read until the program has ended; False when it has not in time."""
        end = time.monotonic() + timeout_s
        while self._read(min(0.2, end - time.monotonic())) or self._alive():
            if time.monotonic() > end:
                return False
        return True

    def settings(self) -> list[object]:
        """Return the terminal's settings as they are now."""
        return termios.tcgetattr(self._fd)

    def _alive(self) -> bool:
        if self.status is not None:
            return False
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            self.status = os.waitstatus_to_exitcode(status)
        return not pid

    def _read(self, timeout_s: float) -> bool:
        ready, _, _ = select.select([self._fd], [], [], max(0.0, timeout_s))
        if not ready:
            return False
        try:
            chunk = os.read(self._fd, 65536)
        except OSError as error:
            if error.errno == errno.EIO:
                return False
            raise
        self.output += chunk
        return bool(chunk)
