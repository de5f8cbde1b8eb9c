"""The client side of the bridge: runs a child process, sends it orders, passes its events on. No ray."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from concurrent.futures import Future, InvalidStateError
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cluster.bridge.child_process import ChildProcess
from cluster.bridge.events import ClusterSeen, Event, Progress, SessionLost
from cluster.bridge.keeper.attach import clean_up_after_dead_keepers
from cluster.bridge.limits import allow_open_files
from cluster.bridge.protocol import (
    ANSWER,
    Alive,
    CalibrateOrder,
    DeployOrder,
    DescribeOrder,
    DismissOrder,
    LogsOrder,
    PromptOrder,
    Reply,
    ScaleOrder,
    StopOrder,
    Target,
    lost_error,
    to_error,
    to_failure,
)
from cluster.bridge.rejoin import Rejoin
from cluster.bridge.session import Listener
from cluster.bridge.state.logs import has_words, remove_log, remove_old_session_logs
from cluster.bridge.wire import Unpacker, encode
from cluster.calibration.result import Calibration
from cluster.deploy.api_keys import API_KEY_VARIABLE
from cluster.deploy.drain import SCALE_DRAIN_S, STOP_DRAIN_S
from cluster.deploy.log_page import LogPage
from cluster.deploy.spec import DeploymentSpec
from cluster.deploy.stuck import SAID_S
from cluster.errors import ClusterviewError, Unreachable
from cluster.packages import require

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]

_CUT_OFF = Unreachable(
    "the connection to the cluster was lost during this operation",
    "It may have taken effect; check with: clusterview status",
)


class RaySession:
    """A session on a Ray cluster (or on this machine) through a child process that is the Ray driver.

    The child may die at any moment (Ray ends a driver that lost its head). Every open future then fails with
    Unreachable and another child joins; the listener hears of it by Progress, and gets SessionLost when none
    can.
    """

    def __init__(self, target: Target, title: str) -> None:
        self._target, self._title = target, title
        self._listener: Listener = lambda event: None
        self._child: ChildProcess | None = None
        self._waiting: list[bytes] = []
        self._open: dict[int, Future[Any]] = {}
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._closing = threading.Event()
        self._lost: SessionLost | None = None
        self._torn = False
        self._parts = Unpacker()
        self._ended = threading.Event()
        self._rejoin = Rejoin(is_ours=target.address is None)

    @property
    def title(self) -> str:
        return self._title

    @property
    def can_deploy(self) -> bool:
        return True

    def start(self, listener: Listener) -> None:
        self._listener = listener
        # The child asks the kernel to end it with the thread that started it, so that thread must live on.
        threading.Thread(target=self._run, name="clusterview-session", daemon=True).start()

    def deploy(self, spec: DeploymentSpec) -> Future[None]:
        order_id, future = self._open_order()
        return self._send(order_id, encode(DeployOrder(order_id=order_id, spec=spec)), future)

    def check(self, spec: DeploymentSpec) -> Future[None]:
        order_id, future = self._open_order()
        return self._send(order_id, encode(DeployOrder(order_id=order_id, spec=spec, dry_run=True)), future)

    def stop(self, name: str, drain_s: float = STOP_DRAIN_S) -> Future[None]:
        order_id, future = self._open_order()
        order = StopOrder(order_id=order_id, name=name, drain_s=drain_s)
        return self._send(order_id, encode(order), future)

    def scale(self, spec: DeploymentSpec, drain_s: float = SCALE_DRAIN_S) -> Future[None]:
        order_id, future = self._open_order()
        order = ScaleOrder(order_id=order_id, spec=spec, drain_s=drain_s)
        return self._send(order_id, encode(order), future)

    def prompt(self, name: str, prompt_id: str, text: str, max_tokens: int) -> Future[None]:
        order_id, future = self._open_order()
        order = PromptOrder(
            order_id=order_id, name=name, prompt_id=prompt_id, text=text, max_tokens=max_tokens
        )
        return self._send(order_id, encode(order), future)

    def logs(self, name: str, replica: int, member: int, first: int, most: int) -> Future[LogPage]:
        order_id, future = self._open_order()
        order = LogsOrder(
            order_id=order_id, name=name, replica=replica, member=member, first=first, most=most
        )
        return self._send(order_id, encode(order), future)

    def calibrate(self) -> Future[Calibration]:
        """Measure what links and GPUs achieve, on GPUs that are free; takes up to a few minutes."""
        order_id, future = self._open_order()
        return self._send(order_id, encode(CalibrateOrder(order_id=order_id, title=self._title)), future)

    def describe(self, name: str) -> Future[DeploymentSpec]:
        order_id, future = self._open_order()
        return self._send(order_id, encode(DescribeOrder(order_id=order_id, name=name)), future)

    def dismiss(self, node_id: str) -> Future[None]:
        order_id, future = self._open_order()
        return self._send(order_id, encode(DismissOrder(order_id=order_id, node_id=node_id)), future)

    def close(self) -> None:
        with self._lock:
            self._closing.set()
            child, lost = self._child, self._lost
        if child is not None:
            child.close()
            if lost is None:
                # This process may end before the child: remove the log that nobody will read now.
                remove_log(child.log)

    def wait_closed(self, timeout_s: float) -> bool:
        """Wait until the child has ended; False when it has not in time."""
        return self._ended.wait(timeout_s)

    def _open_order(self) -> tuple[int, Future[Any]]:
        return next(self._ids), Future()

    def _send(self, order_id: int, line: bytes, future: Future[Any]) -> Future[Any]:
        with self._lock:
            lost, closed = self._lost, self._closing.is_set()
            if lost is None and not closed:
                self._open[order_id] = future
                if self._child is not None:
                    self._child.order(line)
                else:
                    self._waiting.append(line)
        if lost is not None or closed:
            future.set_exception(lost_error(lost) if lost else Unreachable("the session is closed"))
        return future

    def _run(self) -> None:
        try:
            require("ray")
            allow_open_files()
            remove_old_session_logs()
            while not self._closing.is_set() and self._lost is None:
                self._live_with_one_child()
        except Exception as error:
            failure = to_failure(error)
            self._lose(SessionLost(reason=failure.message, hint=failure.hint, type=failure.type))
        finally:
            if self._torn:
                # A keeper that was killed together with its guard left everything lying about.
                with contextlib.suppress(Exception):
                    clean_up_after_dead_keepers()
            self._ended.set()

    def _live_with_one_child(self) -> None:
        """Start a child and hear it to its end; then wait before the next one, or give up."""
        child = ChildProcess(self._rejoin.target(self._target), child_environment())
        self._rejoin.begin(time.monotonic())
        self._give_orders_to(child)
        last_message, self._parts = None, Unpacker()
        for line in child.lines():
            last_message = self._handle(line) or last_message
        with self._lock:
            self._child = None
        how = child.wait()
        self._go_on(child, last_message, how)

    def _give_orders_to(self, child: ChildProcess) -> None:
        with self._lock:
            self._child = child
            waiting, self._waiting = self._waiting, []
            for line in waiting:
                child.order(line)
        if self._closing.is_set():
            child.close()

    def _go_on(self, child: ChildProcess, last_message: SessionLost | None, how: str) -> None:
        if self._closing.is_set():
            remove_log(child.log)
            return
        reason = last_message.reason if last_message else f"the connection process ended ({how})"
        pause_s = self._rejoin.pause_s(last_message, time.monotonic())
        if pause_s is None:
            self._give_up(child, last_message, reason)
            return
        remove_log(child.log)
        self._fail_open(_CUT_OFF)
        self._emit(Progress(message=f"{reason}; reconnecting", interrupted=self._rejoin.joined))
        self._closing.wait(pause_s)

    def _give_up(self, child: ChildProcess, last_message: SessionLost | None, reason: str) -> None:
        if last_message is not None:
            remove_log(child.log)
            self._lose(last_message)
            return
        hint = f"Its output is in {child.log}" if has_words(child.log) else ""
        self._lose(SessionLost(reason=reason, hint=hint, type="SystemFailed"))

    def _handle(self, line: bytes | float) -> SessionLost | None:
        """Handle a line of the child, or its silence in seconds; returns its last message if this is it."""
        if isinstance(line, float):
            if SAID_S < line <= SAID_S + 1:
                message = f"the connection process has not answered for {line:.0f} s"
                self._emit(Progress(message=message, interrupted=self._rejoin.joined))
            return None
        try:
            answer = ANSWER.validate_json(line)
        except ValidationError:
            return None
        if isinstance(answer, SessionLost):
            if self._rejoin.message_is_final():
                # The child may take seconds to leave Ray; do not wait for that.
                self._lose(answer)
            return answer
        if isinstance(answer, Reply):
            with self._lock:
                future = self._open.pop(answer.order_id, None)
            if future is not None:
                self._settle(future, answer)
        elif not isinstance(answer, Alive) and (event := self._parts.take(answer)) is not None:
            self._rejoin.joined |= isinstance(event, ClusterSeen)
            self._emit(event)
        return None

    @staticmethod
    def _settle(future: Future[Any], reply: Reply) -> None:
        with contextlib.suppress(InvalidStateError):
            if reply.failure is None:
                future.set_result(reply.result)
            else:
                future.set_exception(to_error(reply.failure))

    def _lose(self, lost: SessionLost) -> None:
        with self._lock:
            if self._lost is not None:
                return
            self._lost = lost
            self._torn = not self._closing.is_set()
        self._fail_open(lost_error(lost))
        if self._torn:
            self._emit(lost)

    def _fail_open(self, error: ClusterviewError) -> None:
        with self._lock:
            futures, self._open = list(self._open.values()), {}
            self._waiting = []
        for future in futures:
            with contextlib.suppress(InvalidStateError):
                future.set_exception(error)

    def _emit(self, event: Event) -> None:
        if not self._closing.is_set():
            self._listener(event)


def child_environment() -> dict[str, str]:
    """Return this process's environment with this package importable, for a process started by it.

    The key for clients of a deployment stays out: an order carries its digest, and nothing else needs it.
    """
    paths = [str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH", "")]
    kept = {name: value for name, value in os.environ.items() if name != API_KEY_VARIABLE}
    return {**kept, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
