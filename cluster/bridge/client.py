"""The session's side of the bridge: starts the child process, sends orders, hands its events on. No ray."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import subprocess
import sys
import threading
from concurrent.futures import Future, InvalidStateError
from pathlib import Path

from pydantic import ValidationError

from cluster.bridge.attach import sweep_dead_keepers
from cluster.bridge.events import Event, SessionLost
from cluster.bridge.limits import allow_open_files
from cluster.bridge.protocol import (
    ANSWER,
    DeployOrder,
    PromptOrder,
    Reply,
    StopOrder,
    Target,
    encode,
    lost_error,
    to_error,
    to_failure,
)
from cluster.bridge.session import Listener
from cluster.bridge.state_logs import has_words, new_session_log, remove_log, sweep_session_logs
from cluster.deploy.spec import DeploymentSpec
from cluster.errors import Unreachable

_CHILD_ENDS_S = 5.0
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


class RaySession:
    """A session on a Ray cluster (or on this machine) through a child process that is the Ray driver.

    The child may die at any moment (Ray ends a driver that lost its head); the listener then gets SessionLost
    and every open future fails with Unreachable.
    """

    def __init__(self, target: Target, title: str) -> None:
        self._target, self._title = target, title
        self._listener: Listener = lambda event: None
        self._orders: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._open: dict[int, Future[None]] = {}
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._closed = False
        self._lost: SessionLost | None = None
        self._torn = False
        self._ended = threading.Event()
        self._log = Path()

    @property
    def title(self) -> str:
        return self._title

    @property
    def can_deploy(self) -> bool:
        return True

    def start(self, listener: Listener) -> None:
        self._listener = listener
        # The child asks the kernel to end it with the thread that started it, so that thread must live on.
        threading.Thread(target=self._run_child, name="clusterview-session", daemon=True).start()

    def deploy(self, spec: DeploymentSpec) -> Future[None]:
        order_id, future = self._open_order()
        return self._send(order_id, encode(DeployOrder(order_id=order_id, spec=spec)), future)

    def stop(self, name: str) -> Future[None]:
        order_id, future = self._open_order()
        return self._send(order_id, encode(StopOrder(order_id=order_id, name=name)), future)

    def prompt(self, name: str, prompt_id: str, text: str, max_tokens: int) -> Future[None]:
        order_id, future = self._open_order()
        order = PromptOrder(
            order_id=order_id, name=name, prompt_id=prompt_id, text=text, max_tokens=max_tokens
        )
        return self._send(order_id, encode(order), future)

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._orders.put(None)
        if self._log.name and self._lost is None:
            # The process may end before the child has: what nobody will read goes now.
            remove_log(self._log)

    def wait_closed(self, timeout_s: float) -> bool:
        """Wait until the child has ended; False when it has not in time."""
        return self._ended.wait(timeout_s)

    def _open_order(self) -> tuple[int, Future[None]]:
        return next(self._ids), Future()

    def _send(self, order_id: int, line: bytes, future: Future[None]) -> Future[None]:
        with self._lock:
            lost, closed = self._lost, self._closed
            if lost is None and not closed:
                self._open[order_id] = future
        if lost is not None or closed:
            future.set_exception(lost_error(lost) if lost else Unreachable("the session is closed"))
        else:
            self._orders.put(line)
        return future

    def _run_child(self) -> None:
        try:
            self._talk()
        except Exception as error:
            failure = to_failure(error)
            remove_log(self._log)
            self._lose(SessionLost(reason=failure.message, hint=failure.hint, type=failure.type))
        finally:
            if self._torn:
                # A keeper that was killed together with its guard left everything lying about.
                with contextlib.suppress(Exception):
                    sweep_dead_keepers()
            self._ended.set()

    def _talk(self) -> None:
        allow_open_files()
        sweep_session_logs()
        handle, self._log = new_session_log()
        orders_read, orders_write = os.pipe()
        events_read, events_write = os.pipe()
        arguments = [str(orders_read), str(events_write), self._target.model_dump_json(), str(self._log)]
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "cluster.bridge.child", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            pass_fds=(orders_read, events_write),
            env=child_environment(),
            # Ctrl-C in the terminal is for the screen to handle; the child ends when its pipe does.
            process_group=0,
        )
        for fd in (orders_read, events_write, handle):
            os.close(fd)
        writer = threading.Thread(target=self._write_orders, args=(orders_write,), daemon=True)
        writer.start()
        with os.fdopen(events_read, "rb") as lines:
            for line in lines:
                self._take(line)
        self._orders.put(None)
        self._finish(child)

    def _write_orders(self, fd: int) -> None:
        with contextlib.suppress(OSError), os.fdopen(fd, "wb", buffering=0) as pipe:
            while (line := self._orders.get()) is not None:
                pipe.write(line)

    def _take(self, line: bytes) -> None:
        try:
            answer = ANSWER.validate_json(line)
        except ValidationError:
            return
        if isinstance(answer, Reply):
            with self._lock:
                future = self._open.pop(answer.order_id, None)
            if future is not None:
                self._settle(future, answer)
        elif isinstance(answer, SessionLost):
            self._lose(answer)
        else:
            self._tell(answer)

    @staticmethod
    def _settle(future: Future[None], reply: Reply) -> None:
        with contextlib.suppress(InvalidStateError):
            if reply.failure is None:
                future.set_result(None)
            else:
                future.set_exception(to_error(reply.failure))

    def _finish(self, child: subprocess.Popen[bytes]) -> None:
        try:
            status = child.wait(_CHILD_ENDS_S)
        except subprocess.TimeoutExpired:
            child.kill()
            status = child.wait()
        if self._closed or self._lost is not None:
            remove_log(self._log)
        reason = f"the connection to the cluster ended (status {status})"
        hint = f"What it last said is in {self._log}" if has_words(self._log) else ""
        self._lose(SessionLost(reason=reason, hint=hint, type="SystemFailed"))

    def _lose(self, lost: SessionLost) -> None:
        with self._lock:
            if self._lost is not None:
                return
            self._lost = lost
            futures, self._open = list(self._open.values()), {}
            self._torn = not self._closed
        for future in futures:
            with contextlib.suppress(InvalidStateError):
                future.set_exception(lost_error(lost))
        if self._torn:
            self._tell(lost)

    def _tell(self, event: Event) -> None:
        if not self._closed:
            self._listener(event)


def child_environment() -> dict[str, str]:
    """Return this process's environment with this package importable, for a process started by it."""
    paths = [str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
