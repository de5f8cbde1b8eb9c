"""Make standard streams safe at start-up: they may be closed, full, or unable to encode a character."""

from __future__ import annotations

import codecs
import io
import os
import select
import sys
from typing import Any, TextIO

_STDIN, _STDOUT, _STDERR = 0, 1, 2
_PLAIN = {"µ": "u", "…": "...", "×": "x", "–": "-", "—": "-", "→": "->"}
_HANDLER = "clusterview-plain"


def settle_streams() -> None:
    """Make the three standard streams usable, whatever state the caller left them in. Call at process start.

    If a descriptor is closed, the next file or pipe that is opened takes its number and receives what is
    printed. A closed stdout stays an error, raised at the first write; what stderr cannot take is dropped.
    """
    codecs.register_error(_HANDLER, _spell)
    if _is_closed(_STDIN):
        _occupy(_STDIN, os.O_RDONLY)
        sys.stdin = open(_STDIN, encoding="utf-8", closefd=False)  # noqa: SIM115 - until the end
    if _is_closed(_STDOUT):
        # Open for reading only: every write fails as it does on a closed descriptor.
        _occupy(_STDOUT, os.O_RDONLY)
        sys.stdout = None
    if _is_closed(_STDERR):
        _occupy(_STDERR, os.O_WRONLY)
    if sys.stderr is None or sys.stderr is sys.__stderr__:
        sys.stderr = _ForgivingStderr(sys.stderr.encoding if sys.stderr is not None else "utf-8")
    if sys.stdout is None or sys.stdout is sys.__stdout__:
        sys.stdout = _WatchedStdout(sys.stdout)


def print_to_log() -> None:
    """Send what this process prints to stderr, its log: a full disk then costs log lines, not the process."""
    sys.stdout = sys.stderr = _ForgivingStderr("utf-8")


def stdout_failure() -> OSError | None:
    """Return why stdout can no longer be written, None while it works; buffered output is then discarded."""
    try:
        sys.stdout.flush()
    except OSError as error:
        failure: OSError | None = error
    else:
        failure = sys.stdout.raw.failure if isinstance(sys.stdout, _WatchedStdout) else None
    if failure is not None:
        # Python would complain again when it flushes at exit.
        _occupy(_STDOUT, os.O_WRONLY)
    return failure


class _WatchedFile(io.FileIO):
    """Remembers a failed write: an OSError by itself does not say which file it is about."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            # write() returns None for a full pipe that somebody made non-blocking.
            while (written := super().write(data)) is None:
                select.select([], [self], [])
        except OSError as error:
            self.failure = error
            raise
        return written


class _WatchedStdout(io.TextIOWrapper):
    """A command's results; a character that the encoding lacks is replaced, never an error."""

    def __init__(self, old: TextIO | None) -> None:
        self.raw = _WatchedFile(_STDOUT, "w", closefd=False)
        super().__init__(
            io.BufferedWriter(self.raw),
            encoding=old.encoding if old is not None else "utf-8",
            errors=_HANDLER if old is None or old.errors == "strict" else old.errors,
            line_buffering=self.raw.isatty(),
        )


class _ForgivingStderr(io.TextIOWrapper):
    """Messages for a person: if they cannot be written, the command continues without them."""

    def __init__(self, encoding: str) -> None:
        raw = _WatchedFile(_STDERR, "w", closefd=False)
        super().__init__(
            io.BufferedWriter(raw), encoding=encoding, errors="backslashreplace", line_buffering=True
        )

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError:
            _occupy(_STDERR, os.O_WRONLY)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            _occupy(_STDERR, os.O_WRONLY)


def _is_closed(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return True
    return False


def _occupy(fd: int, flags: int) -> None:
    """Replace a standard stream by the null device."""
    null = os.open(os.devnull, flags)
    if null != fd:
        os.dup2(null, fd)
        os.close(null)
    os.set_inheritable(fd, True)


def _spell(error: UnicodeError) -> tuple[str, int]:
    """Replace a character that the encoding lacks: by its usual ASCII form or by an escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    spelled = "".join(_PLAIN.get(char, char.encode("ascii", "backslashreplace").decode()) for char in missing)
    return spelled, error.end
