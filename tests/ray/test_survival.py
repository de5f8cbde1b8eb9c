"""Deployments outlive their command and clusters their screens, but nothing outlives its last user."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from cluster.bridge.open_session import open_session
from cluster.bridge.state.folder import state_path
from cluster.bridge.state.logs import log_path
from cluster.bridge.state.records import read_record, read_records
from cluster.cli.session_view import SessionView
from cluster.process_table import processes_with
from tests.cluster.cli.run_clusterview import one_line_error, run_clusterview
from tests.ray.conftest import record_of
from tests.ray.support import START_S, pids_of_actor, processes_of, wait_until

pytestmark = [pytest.mark.ray, pytest.mark.alone]

SPEC = "1x2xL4"
DEPLOY = ["deploy", "--simulate", SPEC, "--model", "llama-3.1-8b", "--tp", "2", "--max-model-len", "512"]


@pytest.fixture(autouse=True)
def fresh_ground(state_dir: Path) -> Iterator[None]:
    """Leftovers of a failed test must not fail the next one."""
    yield
    for record in read_records():
        os.kill(record.pid, signal.SIGTERM)
    wait_until(lambda: not processes_with("CLUSTERVIEW_STATE_DIR", str(state_dir)), 60)
    # Losses are kept on record for a day.
    shutil.rmtree(state_path(), ignore_errors=True)


def temp_dir() -> str:
    return str(Path(record_of(SPEC).socket_path).parent)


def spawn(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tui", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A test run in the background of a shell ignores SIGINT, and so would this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def read_to(stream: IO[str], words: str) -> list[str]:
    """Return the lines up to the one with these words, or all there are."""
    lines = [""]
    for line in stream:
        lines.append(line)
        if words in line:
            break
    return lines


def test_a_deployment_from_deploy_to_stop_without_a_screen(state_dir: Path) -> None:
    """deploy, then status from another process, then stop: found by name, and nothing left."""
    done = run_clusterview(*DEPLOY, "--name", "life")
    assert done.returncode == 0, done.stderr
    name, endpoint = done.stdout.split()
    assert name == "life" and endpoint.startswith("http://127.0.0.1:")
    assert "life is ready" in done.stderr
    folder = temp_dir()

    found = run_clusterview("status", "--json")
    (row,) = json.loads(found.stdout)["deployments"]
    assert (row["name"], row["state"], row["cluster"]) == ("life", "ready", f"simulated {SPEC}")
    assert "SIMULATED" in run_clusterview("status", "life").stdout
    assert "Nearest: life" in one_line_error(run_clusterview("stop", "lief"))
    assert "named life already" in one_line_error_last(run_clusterview(*DEPLOY, "--name", "life"))

    stopped = run_clusterview("stop", "--all")
    assert (stopped.returncode, stopped.stdout) == (0, "stopped life\n")
    assert processes_of(folder) == {}
    assert not Path(folder).exists() and list(state_dir.iterdir()) == []
    assert run_clusterview("status").stdout == "no deployment is running\n"


def one_line_error_last(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last line of a command that printed progress and was then refused."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_interrupting_a_start_leaves_nothing(state_dir: Path) -> None:
    process = spawn(*DEPLOY, "--name", "cut")
    assert process.stderr is not None
    lines = read_to(process.stderr, "cut is starting")
    assert "cut is starting" in lines[-1], lines
    folder = temp_dir()
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=START_S)
    assert process.returncode == 130, rest
    assert "nothing is left running" in rest
    assert wait_until(lambda: not processes_of(folder), 20), processes_of(folder)
    assert wait_until(lambda: not list(state_dir.iterdir()), 10)


def test_interrupting_a_join_leaves_nothing_within_seconds(state_dir: Path) -> None:
    """The cluster is still starting. Nothing waits for it any more, so its start is abandoned."""
    process = spawn(*DEPLOY, "--name", "early")
    assert process.stderr is not None
    lines = read_to(process.stderr, "starting the cluster's head")
    assert "starting the cluster's head" in lines[-1], lines
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=START_S)
    assert process.returncode == 130
    # A start that completes and then waits for a session would take half a minute.
    assert wait_until(lambda: not processes_with("CLUSTERVIEW_STATE_DIR", str(state_dir)), 15)
    assert wait_until(lambda: not list(state_dir.iterdir()), 10)


def test_a_killed_screen_leaves_its_deployment_to_the_next(state_dir: Path) -> None:
    """SIGKILL the session's process while it waits. The deployment comes up, and a new session finds it."""
    process = spawn(*DEPLOY, "--name", "orphan")
    assert process.stderr is not None
    lines = read_to(process.stderr, "orphan was submitted")
    assert "orphan was submitted" in lines[-1], lines
    process.kill()
    process.communicate()
    with SessionView(open_session(address=None, simulate=SPEC), shows_progress=False) as view:
        assert view.wait(lambda: (s := view.find("orphan")) is not None and s.state == "ready", START_S)
        folder = temp_dir()
        assert len(pids_of_actor(folder, "RankActor")) == 2
        view.session.stop("orphan").result(START_S)
    assert wait_until(lambda: not processes_of(folder), 20), processes_of(folder)


def guard_of(keeper: int) -> int:
    """Return the parent of the process that a record names."""
    return int(Path(f"/proc/{keeper}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize(
    ("victims", "number"),
    [
        ("keeper", signal.SIGKILL),
        ("guard", signal.SIGKILL),
        pytest.param("both", signal.SIGKILL, marks=pytest.mark.long),
        pytest.param("guard", signal.SIGTERM, marks=pytest.mark.long),
    ],
)
def test_a_killed_keeper_ends_its_cluster(state_dir: Path, victims: str, number: signal.Signals) -> None:
    """The session notices at once, and leftovers do not prevent the next start (the next test)."""
    with SessionView(open_session(address=None, simulate=SPEC), shows_progress=False) as view:
        assert view.settled_cluster(START_S).num_gpus == 2
        folder, keeper = temp_dir(), record_of(SPEC).pid
        pids = {"keeper": [keeper], "guard": [guard_of(keeper)], "both": [guard_of(keeper), keeper]}[victims]
        for pid in pids:
            os.kill(pid, number)
        with pytest.raises(Exception, match="has ended"):
            view.wait(lambda: False, 20)
    assert wait_until(lambda: not processes_of(folder), 30), processes_of(folder)
    assert wait_until(lambda: read_record(SPEC) is None and not Path(folder).exists(), 20)


def test_two_screens_share_one_cluster(state_dir: Path) -> None:
    """Started at once with different spellings, they share it. It stays while one of them is left."""
    first = SessionView(open_session(address=None, simulate=SPEC), shows_progress=False)
    second = SessionView(open_session(address=None, simulate="2xl4"), shows_progress=False)
    with first:
        with second:
            nodes = {node.node_id for node in first.settled_cluster(START_S).nodes}
            assert {node.node_id for node in second.settled_cluster(START_S).nodes} == nodes
            folder = temp_dir()
        assert len([pid for pid in processes_of(folder).values() if "cluster.bridge.keeper.main" in pid]) <= 1
        before = len(first.readings)
        assert before and read_record(SPEC) is not None
    assert wait_until(lambda: not processes_of(folder), 20), processes_of(folder)
    assert wait_until(lambda: not log_path(SPEC).exists(), 10)
