"""Standard streams that may be closed, full or unable to show a character: made safe once, at the start."""

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
    """Make the three standard streams usable, whatever the caller left of them. For a process's own start.

    The next file or pipe that is opened would take a closed descriptor and receive what is printed. A closed
    stdout stays an error, which shows when there is something to write; what stderr cannot take is dropped.
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
    """Let prints of this process go to stderr, its log: a full disk then loses words, not the work."""
    sys.stdout = sys.stderr = _ForgivingStderr("utf-8")


def stdout_failure() -> OSError | None:
    """Return why stdout takes nothing more, None while it works; what it still holds then goes nowhere."""
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
    """Remembers that it could not be written: an OSError by itself does not say which file it is about."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            # None from a pipe that somebody made non-blocking, while it is full.
            while (written := super().write(data)) is None:
                select.select([], [self], [])
        except OSError as error:
            self.failure = error
            raise
        return written


class _WatchedStdout(io.TextIOWrapper):
    """The results of a command; a character that the encoding lacks is spelled otherwise, never an error."""

    def __init__(self, old: TextIO | None) -> None:
        self.raw = _WatchedFile(_STDOUT, "w", closefd=False)
        super().__init__(
            io.BufferedWriter(self.raw),
            encoding=old.encoding if old is not None else "utf-8",
            errors=_HANDLER if old is None or old.errors == "strict" else old.errors,
            line_buffering=self.raw.isatty(),
        )


class _ForgivingStderr(io.TextIOWrapper):
    """Messages for a person: when they cannot be written, the command goes on without them."""

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
    """Put the null device in the place of a standard stream."""
    null = os.open(os.devnull, flags)
    if null != fd:
        os.dup2(null, fd)
        os.close(null)
    os.set_inheritable(fd, True)


def _spell(error: UnicodeError) -> tuple[str, int]:
    """Spell a character that the encoding lacks: in ASCII where that is usual, else as an escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    spelled = "".join(_PLAIN.get(char, char.encode("ascii", "backslashreplace").decode()) for char in missing)
    return spelled, error.end
