"""Run one case through the whole command in this process, and check the outcome."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import signal
import tempfile
import time
import traceback
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from cluster.cli.main import main
from tests.fuzz.cases import arguments_of

MOST_CPU_S = 5.0
MOST_RSS_BYTES = 500 * 2**20
_BAD_INPUT = 2


@dataclass(frozen=True)
class Outcome:
    """The result of a case: exit status, fault ('' for none), and the time and memory taken."""

    number: int
    status: int
    fault: str
    cpu_s: float


class _TooLong(BaseException):
    """Raised by the timer; a BaseException, so that the product does not catch it."""


def run_case(number: int) -> Outcome:
    """Run case `number`. Main thread only: a CPU timer interrupts a case that takes too long."""
    status, fault, begun_s = -1, "", time.process_time()
    out, err = io.StringIO(), io.StringIO()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        arguments = arguments_of(number, Path(folder))
        try:
            with _limited(MOST_CPU_S), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                status = main(arguments)
        except _TooLong as late:
            fault = f"more than {MOST_CPU_S:g} s of CPU, then in {late}"
        except BaseException:
            fault = traceback.format_exc()
    fault = fault or _judge(status, out.getvalue(), err.getvalue(), "--json" in arguments)
    if peak_rss_bytes() > MOST_RSS_BYTES:
        fault = fault or f"memory {peak_rss_bytes() / 2**20:.0f} MiB"
    return Outcome(number, status, fault, time.process_time() - begun_s)


def peak_rss_bytes() -> int:
    """Return this process's peak resident memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextlib.contextmanager
def _limited(most_s: float) -> Iterator[None]:
    def too_long(number: int, frame: FrameType | None) -> NoReturn:
        where = "".join(traceback.format_stack(frame)[-3:])
        raise _TooLong(where)

    before = signal.signal(signal.SIGPROF, too_long)
    signal.setitimer(signal.ITIMER_PROF, most_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _judge(status: int, out: str, err: str, as_json: bool) -> str:
    if status not in (0, 1, _BAD_INPUT):
        return f"status {status}: {err[-2000:]}"
    if "Traceback" in err:
        return err[-2000:]
    lines = err.splitlines()
    if status == _BAD_INPUT and (out or len(lines) != 1 or not err.startswith("clusterview: ")):
        return f"bad input is not one line: {out[:200]!r} {err[:500]!r}"
    if status != _BAD_INPUT and not out:
        return f"status {status} without an answer"
    unclean = {
        char for char in out + err if char != "\n" and unicodedata.category(char) in ("Cc", "Cf", "Cs")
    }
    if unclean:
        return f"control characters {unclean!r}"
    return _not_json(out) if as_json and status != _BAD_INPUT else ""


def _not_json(out: str) -> str:
    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} in JSON")

    try:
        json.loads(out, parse_constant=refuse)
    except ValueError as error:
        return f"not JSON: {error}"
    return ""


def isolate() -> None:
    """Keep cases away from the network and from the caller's environment."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    for name in ("RAY_ADDRESS", "HF_ENDPOINT"):
        os.environ.pop(name, None)
