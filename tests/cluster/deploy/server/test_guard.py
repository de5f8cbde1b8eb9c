"""No process of a server is left, whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.deploy.server.guard import CANNOT_START
from cluster.deploy.server.guarded import MARK, GuardedServer, describe_end, end_earlier
from cluster.process_table import descendants, processes_with

# A server whose children leave it: one ignores SIGTERM in a session of its own, one is double-forked.
SERVER = """
import os, signal, subprocess, sys, time
stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
subprocess.Popen([sys.executable, "-I", "-S", "-c", stubborn], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
os.wait()
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(600)
"""

# An agent that is killed, since no signal handler of this test's process may have a part in it.
AGENT = """
import os, sys, time
from cluster.deploy.server.guard import CANNOT_START
from cluster.deploy.server.guarded import GuardedServer
server = GuardedServer(sys.argv[1:], os.environ, lambda chunk: os.write(1, chunk))
time.sleep(600)
"""


@pytest.fixture
def mark() -> Iterator[str]:
    name = f"test-{os.getpid()}-{time.monotonic()}"
    yield name
    assert processes_with(MARK, name) == []


def server(mark: str, *arguments: str) -> GuardedServer:
    """Start a server and wait until its children run."""
    output: list[bytes] = []
    started = GuardedServer(command(*arguments), {**os.environ, MARK: mark}, output.append)
    await_that(lambda: b"up" in b"".join(output))
    assert len(started.pids()) == 4  # inner guard, server, two workers
    return started


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", SERVER, *arguments]


def await_that(is_true: Callable[[], object]) -> None:
    until_s = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < until_s
        time.sleep(0.02)


def end_of(running: GuardedServer) -> str:
    await_that(lambda: running.exit_status() is not None)
    return describe_end(running.exit_status() or 0)


def test_an_orderly_end(mark: str) -> None:
    running = server(mark)
    assert running.exit_status() is None
    running.end()
    assert running.pids() == []
    assert end_of(running) == "ended by SIGTERM"


def test_a_killed_server_takes_its_workers_with_it(mark: str) -> None:
    running = server(mark)
    os.kill(running.pids()[1], signal.SIGKILL)
    assert end_of(running).startswith("ended by SIGKILL")
    assert processes_with(MARK, mark) == []


@pytest.mark.parametrize("deaf", [[], ["deaf"]])
def test_a_killed_inner_guard_leaves_its_processes_to_the_outer_one(mark: str, deaf: list[str]) -> None:
    running = server(mark, *deaf)
    os.kill(running.pids()[0], signal.SIGKILL)
    assert end_of(running) == "its guard was ended by SIGKILL"
    assert processes_with(MARK, mark) == []


def test_a_killed_outer_guard_is_noticed_and_the_rest_ended(mark: str) -> None:
    running = server(mark)
    os.kill(running.guard_pid, signal.SIGKILL)
    assert end_of(running) == "its guard was ended by SIGKILL"
    running.end()
    assert processes_with(MARK, mark) == []


@pytest.mark.parametrize("outer", [True, False])
def test_a_stopped_guard_still_ends(mark: str, monkeypatch: pytest.MonkeyPatch, outer: bool) -> None:
    running = server(mark)
    os.kill(running.guard_pid if outer else running.pids()[0], signal.SIGSTOP)
    running.end()
    assert processes_with(MARK, mark) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("what", ["alone", "and the outer guard", "while the guards are stopped"])
def test_a_killed_agent_takes_everything_with_it(mark: str, number: signal.Signals, what: str) -> None:
    """Ray kills an actor's process together with its children: with the outer guard."""
    root = str(Path(__file__).resolve().parents[4])
    agent = subprocess.Popen(
        [sys.executable, "-c", AGENT, *command()],
        env={**os.environ, MARK: mark, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
    )
    assert agent.stdout is not None
    with agent.stdout:
        assert agent.stdout.readline() == b"up\n"
        left = descendants(agent.pid)
        assert len(left) == 5
        if what == "and the outer guard":
            os.kill(left[0], signal.SIGKILL)
        elif what == "while the guards are stopped":
            os.kill(left[0], signal.SIGSTOP)
            os.kill(left[1], signal.SIGSTOP)
        agent.send_signal(number)
        agent.wait()
    await_that(lambda: not processes_with(MARK, mark))


def test_a_server_that_ignores_its_end_is_killed_by_the_next_start(
    mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an agent and a guard left that were both killed ends before another server starts there."""
    monkeypatch.setattr("cluster.deploy.server.guarded.PATIENCE_S", 0.1)
    monkeypatch.setattr("cluster.deploy.server.guarded._GUARDS_END_S", 0.1)
    running = server(mark, "deaf")
    inner_pid = running.pids()[0]
    os.kill(running.guard_pid, signal.SIGKILL)
    os.kill(inner_pid, signal.SIGKILL)
    assert end_of(running)
    assert len(processes_with(MARK, mark)) == 3
    assert end_earlier(mark, lambda: False)
    assert processes_with(MARK, mark) == []
    assert not end_earlier(mark, lambda: False)


def test_a_command_that_is_not_there(mark: str) -> None:
    output: list[bytes] = []
    missing = GuardedServer(["/no/such/engine"], {**os.environ, MARK: mark}, output.append)
    await_that(lambda: missing.exit_status() == CANNOT_START)
    assert b"".join(output) == b"cannot start /no/such/engine: No such file or directory\n"


def test_ends_are_described() -> None:
    assert describe_end(0) == "ended with exit status 0"
    assert describe_end(1) == "ended with exit status 1"
    assert describe_end(128 + signal.SIGSEGV) == "ended by SIGSEGV"
    assert describe_end(255) == "ended with exit status 255"
    assert describe_end(-signal.SIGKILL) == "its guard was ended by SIGKILL"
