"""What outlives what: deployments their orderers, embedded clusters their screens, nothing its last user."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.bridge.open_session import open_session
from cluster.bridge.records import log_path, read_record
from cluster.cli.session_view import SessionView
from tests.cli.run_clusterview import one_line_error, run_clusterview
from tests.ray.conftest import record_of
from tests.ray.support import START_S, pids_of_actor, processes_of, wait_until

pytestmark = pytest.mark.ray

SPEC = "1x2xL4"
DEPLOY = ["deploy", "--simulate", SPEC, "--model", "llama-3.1-8b", "--tp", "2", "--max-model-len", "512"]


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
    )


def test_headless_life_of_a_deployment(state_dir: Path) -> None:
    """deploy, then status from another process, then stop: found by name, and gone without a trace."""
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
    """Return the last line of a command that was refused after it had told its progress."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_interrupting_a_start_leaves_nothing(state_dir: Path) -> None:
    process = spawn(*DEPLOY, "--name", "cut")
    assert process.stderr is not None
    for line in process.stderr:
        if "cut is starting" in line:
            break
    folder = temp_dir()
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=START_S)
    assert process.returncode == 130, rest
    assert "nothing of it is left" in rest
    assert wait_until(lambda: not processes_of(folder), 20), processes_of(folder)
    assert wait_until(lambda: not list(state_dir.iterdir()), 10)


def test_a_killed_screen_leaves_its_deployment_to_the_next(state_dir: Path) -> None:
    """SIGKILL the session's process as it waits; the deployment comes up, and a new session has it."""
    process = spawn(*DEPLOY, "--name", "orphan")
    assert process.stderr is not None
    for line in process.stderr:
        if "orphan was ordered" in line:
            break
    process.kill()
    process.communicate()
    with SessionView(open_session(address=None, simulate=SPEC), tells_progress=False) as view:
        assert view.wait(lambda: (s := view.find("orphan")) is not None and s.state == "ready", START_S)
        folder = temp_dir()
        assert len(pids_of_actor(folder, "RankActor")) == 2
        view.session.stop("orphan").result(START_S)
    assert wait_until(lambda: not processes_of(folder), 20), processes_of(folder)


def test_a_killed_keeper_takes_its_cluster_along(state_dir: Path) -> None:
    """The session is told at once; what it left behind does not hinder the next start."""
    with SessionView(open_session(address=None, simulate=SPEC), tells_progress=False) as view:
        view.settled_cluster(START_S)
        folder, keeper = temp_dir(), record_of(SPEC).pid
        os.kill(keeper, signal.SIGKILL)
        with pytest.raises(Exception, match="has ended"):
            view.wait(lambda: False, 20)
    assert wait_until(lambda: not processes_of(folder), 30), processes_of(folder)
    assert read_record(SPEC) is None
    assert wait_until(lambda: not Path(folder).exists(), 10)
    with SessionView(open_session(address=None, simulate=SPEC), tells_progress=False) as view:
        assert view.settled_cluster(START_S).num_gpus == 2
        folder = temp_dir()
    assert wait_until(lambda: not processes_of(folder), 20)
    assert not log_path(SPEC).exists()


def test_two_screens_share_one_cluster(state_dir: Path) -> None:
    """Started in the same moment with different spellings, they meet; the cluster stays while one is left."""
    first = SessionView(open_session(address=None, simulate=SPEC), tells_progress=False)
    second = SessionView(open_session(address=None, simulate="2xl4"), tells_progress=False)
    with first:
        with second:
            nodes = {node.node_id for node in first.settled_cluster(START_S).nodes}
            assert {node.node_id for node in second.settled_cluster(START_S).nodes} == nodes
            folder = temp_dir()
        assert len([pid for pid in processes_of(folder).values() if "cluster.bridge.keeper" in pid]) <= 1
        before = len(first.readings)
        assert before and read_record(SPEC) is not None
    assert wait_until(lambda: not processes_of(folder), 20)
