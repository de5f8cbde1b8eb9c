"""The child process from its session's side: started, read line by line, continued or ended when silent."""

from __future__ import annotations

import contextlib
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping

from cluster.bridge.protocol import Target
from cluster.bridge.state.logs import new_session_log
from cluster.deploy.process_state import examine
from cluster.deploy.stuck import SUSPECT_S, Suspicion

_ENDS_S = 5.0
_LOOK_S = 1.0
# Importing ray on a busy machine holds all its threads up.
_HUNG_S = 45.0
_CHUNK_BYTES = 2**16


class ChildProcess:
    """One run of `cluster.bridge.driver.child`. It ends with the thread that starts it."""

    def __init__(self, target: Target, environment: Mapping[str, str]) -> None:
        handle, self.log = new_session_log()
        orders_read, orders_write = os.pipe()
        self._events, events_write = os.pipe()
        arguments = [str(orders_read), str(events_write), target.model_dump_json(), str(self.log)]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cluster.bridge.driver.child", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            pass_fds=(orders_read, events_write),
            env=environment,
            # Ctrl-C in the terminal is for the screen to handle; the child ends when its pipe does.
            process_group=0,
        )
        for fd in (orders_read, events_write, handle):
            os.close(fd)
        self._orders: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._suspicion = Suspicion(hung_s=_HUNG_S)
        threading.Thread(target=self._write_orders, args=(orders_write,), daemon=True).start()

    def order(self, line: bytes) -> None:
        """Send an order; one that the child does not live to read is lost."""
        self._orders.put(line)

    def close(self) -> None:
        """Let the child end: its orders are over."""
        self._orders.put(None)

    def lines(self) -> Iterator[bytes | float]:
        """Yield what the child says line by line, and the seconds of silence meanwhile; until it ends.

        Silence is counted in looks of this process, which may itself have been stopped meanwhile.
        """
        poll, pending, silent_s = select.poll(), b"", 0.0
        poll.register(self._events, select.POLLIN)
        while True:
            if not poll.poll(1000 * _LOOK_S):
                silent_s += _LOOK_S
                self._look_at_silence(silent_s)
                yield silent_s
                continue
            chunk = os.read(self._events, _CHUNK_BYTES)
            if not chunk:
                return
            silent_s = 0.0
            *complete, pending = (pending + chunk).split(b"\n")
            yield from complete

    def _look_at_silence(self, silent_s: float) -> None:
        if silent_s < SUSPECT_S:
            return
        now_s, pid = time.monotonic(), self._process.pid
        found = examine(pid, "", may_continue=self._suspicion.may_continue(now_s))
        if self._suspicion.verdict(found, silent_s, now_s) is not None:
            self._process.kill()

    def wait(self) -> str:
        """Wait until the child has ended, killed if need be; returns a short description of how it ended."""
        self.close()
        os.close(self._events)
        try:
            status = self._process.wait(_ENDS_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        trouble = f", it {self._suspicion.trouble}" if self._suspicion.trouble and status < 0 else ""
        return f"{_how_it_ended(status)}{trouble}"

    def _write_orders(self, fd: int) -> None:
        with contextlib.suppress(OSError), os.fdopen(fd, "wb", buffering=0) as pipe:
            while (line := self._orders.get()) is not None:
                pipe.write(line)


def _how_it_ended(status: int) -> str:
    if status >= 0:
        return f"status {status}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-status).name}"
    return f"killed by signal {-status}"
