"""Find the keeper process of an embedded cluster, or start one, and stay connected to it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cluster.bridge.limits import check_room
from cluster.bridge.state.folder import VARIABLE, state_root
from cluster.bridge.state.logs import has_words, log_path
from cluster.bridge.state.records import ClusterRecord, any_ending, read_record, read_records
from cluster.errors import SystemFailed
from cluster.text import clean

_RECORD_APPEARS_S = 15.0
_LINE_COMES_S = 60.0
ANOTHER_KEEPER = 3
"""Exit status of a keeper that found another keeper for the same cluster."""
CANNOT_START = 74
"""Exit status of a keeper that cannot start; its last line says why."""

OnProgress = Callable[[str, float | None], None]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A hold on an embedded cluster: it stays up at least until `connection` is closed."""

    record: ClusterRecord
    connection: socket.socket
    address: str

    def wait_lost(self) -> None:
        """Block until the keeper is gone."""
        self.connection.settimeout(None)
        try:
            while self.connection.recv(4096):
                pass
        except OSError:
            return


def attach(key: str, on_progress: OnProgress, *, start: bool = True) -> Attachment | None:
    """Hold on to the embedded cluster of `key`, started when there is none and `start` says so.

    Blocks until the cluster is up; None when there is none to hold. Raises Unreachable with where to look.
    """
    for _ in range(2):
        entered = _enter(key, start)
        if entered is None:
            return None
        record, connection = entered
        address = _follow(connection, key, on_progress)
        if address is not None:
            return Attachment(record, connection, address)
        # That keeper was already ending; the next one is new.
    raise _not_started(key, "its keeper process exited during startup")


def _follow(connection: socket.socket, key: str, on_progress: OnProgress) -> str | None:
    for line in _lines(connection, key):
        if "address" in line:
            return str(line["address"])
        if "failed" in line:
            raise _not_started(key, str(line["failed"]))
        on_progress(str(line["progress"]), line.get("fraction"))  # type: ignore[arg-type]
    return None


def _not_started(key: str, reason: str) -> SystemFailed:
    log = log_path(key)
    hint = f"Ray's output is in {log}" if has_words(log) else "Try again, or see: clusterview doctor"
    return SystemFailed(f"embedded cluster {key}: {reason}", hint)


def _enter(key: str, start: bool) -> tuple[ClusterRecord, socket.socket] | None:
    until_s = time.monotonic() + _RECORD_APPEARS_S
    keeper: _Starting | None = None
    while time.monotonic() < until_s:
        record = read_record(key)
        connection = _connect(record) if record else None
        if record and connection:
            return record, connection
        if not start:
            return None
        if keeper is not None and keeper.process.poll() in (1, CANNOT_START):
            raise _not_started(key, keeper.last_line() or "its keeper process exited during startup")
        if keeper is None or keeper.process.poll() is not None:
            keeper = _start_keeper(key)
        time.sleep(0.05)
    raise _not_started(key, "its keeper process did not start")


def _connect(record: ClusterRecord) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(record.socket_path)
    except OSError:
        connection.close()
        return None
    return connection


def clean_up_after_dead_keepers(timeout_s: float = 10.0) -> None:
    """Clean up after keepers that were killed together with their guards.

    A killed process may hold its lock a while longer, when the machine is busy: until then its record stays.
    """
    until_s = time.monotonic() + timeout_s
    while any(not _answers(record) for record in read_records()) or any_ending():
        if time.monotonic() > until_s:
            return
        time.sleep(0.1)


def _answers(record: ClusterRecord) -> bool:
    connection = _connect(record)
    if connection is not None:
        connection.close()
    return connection is not None


@dataclass(frozen=True, slots=True)
class _Starting:
    """A keeper that was started, and a pipe for its output before it has a log."""

    process: subprocess.Popen[bytes]
    words: int

    def last_line(self) -> str:
        """Return the last line it wrote."""
        try:
            text = os.read(self.words, 2**16).decode(errors="replace")
        except BlockingIOError:
            return ""
        return clean((text.strip().splitlines() or [""])[-1])


def _start_keeper(key: str) -> _Starting:
    check_room()
    words, said = os.pipe()
    os.set_blocking(words, False)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "cluster.bridge.keeper.main", key],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=said,
        cwd="/",
        # Relative to where the user is, not to the keeper's own folder.
        env={**os.environ, VARIABLE: str(state_root())} if os.environ.get(VARIABLE) else None,
        start_new_session=True,
    )
    os.close(said)
    return _Starting(process, words)


def _lines(connection: socket.socket, key: str) -> Iterator[dict[str, object]]:
    connection.settimeout(_LINE_COMES_S)
    pending = b""
    while True:
        try:
            received = connection.recv(4096)
        except TimeoutError:
            raise _not_started(key, f"no message from its keeper process for {_LINE_COMES_S:.0f} s") from None
        except OSError:
            return
        if not received:
            return
        *complete, pending = (pending + received).split(b"\n")
        yield from (json.loads(line) for line in complete)
