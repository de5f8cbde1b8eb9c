"""The processes behind a server: an engine core, and one worker per device below it.

A byte sent to the core goes through every worker and comes back: a token needs all ranks. A core outlives its
server, as vLLM's does (vllm#55510); workers end with their core.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence

from fake_server.behaviour import behaviour
from fake_server.log import Printer
from fake_server.record import record_process

_TURN = b"."


def start_core(ranks: Sequence[int], names: Sequence[str]) -> tuple[int, socket.socket]:
    """Fork a core with a worker for each name (none: it computes itself); return its pid and a socket."""
    ours, theirs = socket.socketpair()
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        theirs.close()
        return pid, ours
    # A child that keeps the listening socket would keep the port after the server's death; vLLM's do not.
    kept = theirs.fileno()
    os.closerange(3, kept)
    os.closerange(kept + 1, 1024)
    try:
        _run_core(theirs, ranks, names)
    finally:
        os._exit(0)


def _run_core(server: socket.socket, ranks: Sequence[int], names: Sequence[str]) -> None:
    record_process("core", "VLLM::EngineCore")
    ignores = behaviour().ignore_sigterm
    signal.signal(signal.SIGTERM, signal.SIG_IGN if ignores else _end_at_once)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    workers = [_start_worker(rank, name) for rank, name in zip(ranks, names, strict=True)]
    while True:
        readable, _, _ = select.select([server, *workers], [], [])
        lost = [worker for worker in workers if worker in readable]
        turn = server.recv(1) if server in readable and not lost else b"."
        if not turn:
            # The server is gone. vLLM's core does not notice.
            while True:
                time.sleep(3600)
        if lost or not all(_goes_through(worker) for worker in workers):
            Printer("EngineCore").error(
                "multiproc_executor.py",
                "Worker proc VllmWorker-0 died unexpectedly (exit code: -9), shutting down executor.",
            )
            if not behaviour().keep_serving_without_worker:
                os._exit(1)
            _answer_no(server)
        else:
            server.sendall(turn)


def _answer_no(server: socket.socket) -> None:
    """Answer every turn with a refusal."""
    while server.recv(1):
        server.sendall(b"!")
    while True:
        time.sleep(3600)


def _goes_through(worker: socket.socket) -> bool:
    try:
        worker.sendall(_TURN)
        return worker.recv(1) == _TURN
    except OSError:
        return False


def _start_worker(rank: int, name: str) -> socket.socket:
    ours, theirs = socket.socketpair()
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        theirs.close()
        if behaviour().double_fork:
            os.waitpid(pid, 0)
        return ours
    ours.close()
    if behaviour().double_fork:
        os.setsid()
        if os.fork():
            os._exit(0)
    try:
        _run_worker(theirs, rank, name)
    finally:
        os._exit(0)


def _run_worker(core: socket.socket, rank: int, name: str) -> None:
    record_process("worker", f"VLLM::{name}", rank)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if behaviour().ignore_sigterm else _end_at_once)
    with contextlib.suppress(OSError):
        while turn := core.recv(1):
            core.sendall(turn)


def _end_at_once(number: int, frame: object) -> None:
    os._exit(0)


def end_core(pid: int, core: socket.socket, patience_s: float = 2.0) -> None:
    """End a core and wait for it; its workers end with it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    core.close()
    ends_s = time.monotonic() + patience_s
    while time.monotonic() < ends_s:
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG)[0] == 0:
                time.sleep(0.01)
                continue
        return
