"""The planning process as the screen sees it: kept warm, given one question at a time, killed at will."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

from cluster.bridge.client import child_environment
from cluster.errors import ClusterviewError, SystemFailed, system_failed
from cluster.inventory import Cluster
from cluster.planner.request import PlanRequest
from cluster.planner.result import Plan
from tui.background import is_abandoned
from tui.planner.wire import Failed, Planned, Question

ANSWER_S = 120.0
"""A plan that takes longer is canceled."""
GRACE_S = 1.0
"""How long a superseded plan may continue: most finish sooner, and a new process costs more."""
_LOOK_S = 0.1
_REAP_S = 1.0
_TRANSFER_S = 30
"""A process that does not read or write one message in this time is lost."""


class PlannerProcess:
    """A PlanFunction. Call it from worker threads; `start` and `close` from anywhere."""

    def __init__(self, module: str = "tui.planner.child", answer_s: float = ANSWER_S) -> None:
        self._module, self._answer_s = module, answer_s
        self._turn = threading.Lock()
        self._guard = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._closed = False

    def start(self) -> None:
        """Start the process ahead of the first question. A failure to start is raised by that question."""
        with contextlib.suppress(ClusterviewError):
            self._ready()

    def close(self) -> None:
        """Kill the process at once; an open question fails."""
        with self._guard:
            self._closed = True
        self._end()

    def __call__(self, cluster: Cluster, model_name: str, request: PlanRequest) -> Plan:
        """Plan. Raises what the planner raises; SystemFailed when its process is lost or takes too long."""
        with self._my_turn():
            pipe = self._ready()
            try:
                pipe.send(Question(cluster, model_name, request))
                self._await_answer(pipe, model_name)
                answer = pipe.recv()
            except (EOFError, OSError) as error:
                raise self._lost() from error
        if isinstance(answer, Failed):
            raise answer.error
        assert isinstance(answer, Planned)
        return answer.plan

    @contextlib.contextmanager
    def _my_turn(self) -> Iterator[None]:
        while not self._turn.acquire(timeout=_LOOK_S):
            if is_abandoned():
                raise SystemFailed("this plan was superseded")
        try:
            yield
        finally:
            self._turn.release()

    def _await_answer(self, pipe: Connection, model_name: str) -> None:
        """Wait for the answer; kill the process when it is late or the question was superseded."""
        began_s = time.monotonic()
        while not pipe.poll(_LOOK_S):
            waited_s = time.monotonic() - began_s
            self._continue()
            if waited_s > GRACE_S and is_abandoned():
                self._end()
                raise SystemFailed("this plan was superseded")
            if waited_s > self._answer_s:
                self._end()
                raise SystemFailed(
                    f"planning {model_name} took longer than {self._answer_s:.0f} s and was canceled",
                    "Press r to retry or m to choose another model",
                )

    def _ready(self) -> Connection:
        """Return the pipe of a live process; start one if there is none."""
        with self._guard:
            if self._closed:
                raise SystemFailed("clusterview is exiting")
            if self._child is not None and self._pipe is not None and self._child.poll() is None:
                return self._pipe
            self._child, self._pipe = self._spawn()
            return self._pipe

    def _spawn(self) -> tuple[subprocess.Popen[bytes], Connection]:
        try:
            ours, theirs = socket.socketpair()
            for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
                ours.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", _TRANSFER_S, 0))
            with theirs:
                child = subprocess.Popen(
                    [sys.executable, "-P", "-m", self._module, str(theirs.fileno()), str(os.getpid())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    env=child_environment(),
                    # A signal to the terminal's group is for the screen.
                    process_group=0,
                )
        except OSError as error:
            raise system_failed("cannot start the planning process", error) from error
        return child, Connection(ours.detach())

    def _continue(self) -> None:
        """Continue a process that was stopped by a signal; a running one is not affected."""
        with self._guard:
            if self._child is not None:
                self._child.send_signal(signal.SIGCONT)

    def _end(self) -> None:
        with self._guard:
            child, self._child, self._pipe = self._child, None, None
        if child is None:
            return
        child.kill()
        # A process stuck in the kernel, for example on a dead file system, ends when that call returns.
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_REAP_S)

    def _lost(self) -> SystemFailed:
        """Describe how the process ended, and let the next question start another."""
        with self._guard:
            child, self._child, self._pipe = self._child, None, None
            closed = self._closed
        if closed or child is None:
            return SystemFailed("clusterview is exiting")
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_REAP_S)
        return SystemFailed(f"the planning process ended ({_how(child.returncode)})", "Press r to plan again")


def _how(status: int | None) -> str:
    if status is None:
        return "it does not respond"
    return signal.Signals(-status).name if status < 0 else f"status {status}"
