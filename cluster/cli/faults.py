"""Errors that end a command: one line on stderr, and an exit status for the kind of error."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from cluster.errors import ClusterviewError, SystemFailed, system_failed
from cluster.packages import import_failed
from cluster.streams import stdout_failure
from cluster.text import clean

OUR_FAULT = 4
INTERRUPTED = 130
TRACEBACK_VARIABLE = "CLUSTERVIEW_TRACEBACK"
_LONGEST_LINE = 600
_ROOT = Path(__file__).resolve().parents[2]


def guarded(action: Callable[[], int]) -> int:
    """Run `action`; turn whatever goes wrong into one line on stderr and an exit status."""
    try:
        status = _run(action)
        sys.stdout.flush()
    except KeyboardInterrupt:
        stdout_failure()
        return INTERRUPTED
    except BrokenPipeError as error:
        # The reader closed the pipe (`| head`): not an error.
        return 0 if stdout_failure() is not None else report(error)
    except Exception as error:
        return report(error)
    return status


def _run(action: Callable[[], int]) -> int:
    """Return the status of `action`; `--help` and `--version` leave by SystemExit."""
    try:
        return action()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 0


def report(error: Exception) -> int:
    """Print one line for an error on stderr; returns the exit status."""
    known = _known(error)
    if os.environ.get(TRACEBACK_VARIABLE):
        traceback.print_exception(error, file=sys.stderr)
    text = known.one_line() if known is not None else _our_fault(error)
    print(f"clusterview: {clean(text, _LONGEST_LINE)}", file=sys.stderr)
    return known.exit_status if known is not None else OUR_FAULT


def _known(error: Exception) -> ClusterviewError | None:
    if isinstance(error, ClusterviewError):
        stdout_failure()
        return error if error.exit_status != OUR_FAULT else _damaged_installation() or error
    if isinstance(error, OSError):
        return _refusal(error)
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return SystemFailed(
            "the system refused to start a thread", "The limit on processes is reached: see ulimit -u"
        )
    if isinstance(error, MemoryError):
        return SystemFailed("the machine is out of memory", "See ulimit -v, or use a machine with more")
    if isinstance(error, ImportError) and error.name and not _is_ours(error.name):
        return import_failed(error)
    return _damaged_installation()


def _damaged_installation() -> SystemFailed | None:
    """Return the error for an installation that another package has overwritten in part."""
    from cluster.installation import damage

    try:
        found = damage()
    except Exception:  # the error that is being reported matters more
        return None
    return SystemFailed(*found) if found else None


def _refusal(error: OSError) -> SystemFailed:
    if (failure := stdout_failure()) is not None:
        return SystemFailed(f"cannot write to stdout: {failure.strerror or failure}")
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    return system_failed(f"the system refused {' and '.join(names) or 'a request'}", error)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in ("cluster", "tui")


def _our_fault(error: Exception) -> str:
    frames = [(_short(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    own = [frame for frame in frames if _is_ours(frame[0].partition("/")[0])]
    places = dict.fromkeys(frames[-1:] + own[-1:])
    where = ", called from ".join(f"{path}:{line}" for path, line in places)
    words = clean(" ".join(str(error).split()), 160)
    return (
        f"a bug in clusterview: {type(error).__name__}{f': {words}' if words else ''} in {where}. "
        f"Please report this line and the command you ran; {TRACEBACK_VARIABLE}=1 prints the traceback"
    )


def _short(path: str) -> str:
    """Return a source file's path from its package on."""
    file = Path(path)
    if file.is_relative_to(_ROOT) and _is_ours(file.relative_to(_ROOT).parts[0]):
        return file.relative_to(_ROOT).as_posix()
    return path.rpartition("site-packages/")[2]
