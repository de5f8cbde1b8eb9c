"""What the kernel says of a process, and what to do about one that does not answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from cluster.deploy.controller_watch import CONTROLLER_HUNG_S, ControllerWatch
from cluster.deploy.own_pause import OwnPause
from cluster.deploy.process_state import ProcessState, end_process, examine, state_of
from cluster.deploy.stuck import SUSPECT_S, Suspicion
from tests.ray.support import wait_until

TITLE = "ray::Sleeper"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process whose command line starts with TITLE, as Ray titles its actors."""
    code = "import time; time.sleep(600)"
    process = subprocess.Popen([TITLE, "-c", code], executable=sys.executable)
    assert wait_until(lambda: state_of(process.pid, TITLE) is ProcessState.RUNS, 10)
    yield process
    process.kill()
    process.wait()


def stop(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGSTOP)
    assert wait_until(lambda: state_of(process.pid, TITLE) is ProcessState.STOPPED, 10)


def test_a_stopped_process_is_seen_and_continued(sleeper: subprocess.Popen[bytes]) -> None:
    stop(sleeper)
    assert examine(sleeper.pid, TITLE, may_continue=False) is ProcessState.STOPPED
    assert examine(sleeper.pid, TITLE, may_continue=True) is ProcessState.CONTINUED
    assert state_of(sleeper.pid, TITLE) is ProcessState.RUNS


def test_a_stopped_process_can_be_ended(sleeper: subprocess.Popen[bytes]) -> None:
    stop(sleeper)
    assert end_process(sleeper.pid, TITLE)
    assert sleeper.wait(10) == -signal.SIGKILL
    assert state_of(sleeper.pid) is ProcessState.GONE


def test_a_pid_that_belongs_to_another_process_is_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    stop(sleeper)
    assert examine(sleeper.pid, "ray::Another", may_continue=True) is ProcessState.GONE
    assert end_process(sleeper.pid, "ray::Another")
    assert state_of(sleeper.pid, TITLE) is ProcessState.STOPPED


def test_a_process_that_is_stopped_again_is_given_up() -> None:
    suspicion = Suspicion(hung_s=60.0)
    assert suspicion.may_continue(100.0)
    assert suspicion.verdict(ProcessState.CONTINUED, SUSPECT_S, 100.0) is None
    assert "continued" in suspicion.trouble
    assert not suspicion.may_continue(130.0)
    assert suspicion.verdict(ProcessState.STOPPED, SUSPECT_S, 130.0) == "was stopped by a signal again"
    assert suspicion.may_continue(161.0)


def test_a_process_that_runs_may_be_silent_for_longer() -> None:
    suspicion = Suspicion(hung_s=60.0)
    assert suspicion.verdict(ProcessState.RUNS, 59.0, 0.0) is None
    assert suspicion.verdict(None, 61.0, 0.0) == "has not answered for 61 s"
    assert Suspicion(hung_s=None).verdict(ProcessState.RUNS, 1e6, 0.0) is None


def test_a_process_that_answers_again_is_not_given_up_for_an_old_finding() -> None:
    assert Suspicion(hung_s=60.0).verdict(ProcessState.STOPPED, 0.0, 0.0) is None


def test_a_process_that_was_held_up_itself_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [100.0]
    monkeypatch.setattr("cluster.deploy.own_pause.time.monotonic", lambda: now_s[0])
    pause = OwnPause()
    now_s[0] = 101.0
    assert pause.seconds() == 0.0
    now_s[0] = 121.0
    assert pause.seconds() == 20.0
    assert pause.seconds() == 0.0


def test_a_router_judges_its_controller(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped one is ended; a silent one only after it was heard, and while Ray's head answers."""
    found, head_answers, ended = [ProcessState.STOPPED], [False], []
    monkeypatch.setattr("cluster.deploy.controller_watch.examine", lambda *args, **options: found[0])
    monkeypatch.setattr("cluster.deploy.controller_watch.speaks_grpc", lambda *args: head_answers[0])
    watch = ControllerWatch(1, "127.0.0.1:1")

    def end(pid: int, title: str) -> bool:
        ended.append(pid)
        return True

    assert watch.look(SUSPECT_S / 2, end) is None
    assert watch.look(SUSPECT_S + 1, end) == "was stopped by a signal" and ended == [1]
    found[0] = ProcessState.RUNS
    head_answers[0] = True
    assert watch.look(CONTROLLER_HUNG_S + 1, end) is None  # it claims its GPUs
    watch.hear()
    head_answers[0] = False
    assert watch.look(CONTROLLER_HUNG_S + 1, end) is None  # it waits for Ray's head
    head_answers[0] = True
    assert watch.look(CONTROLLER_HUNG_S + 1, end) is not None and ended == [1, 1]
