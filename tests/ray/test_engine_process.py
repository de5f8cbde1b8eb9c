"""Engines as processes on real Ray nodes: started on the planned GPUs, proven, watched, restarted, ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cluster.bridge.open_session import open_session
from cluster.cli.session_view import SessionView
from cluster.deploy.status import ReplicaStatus
from cluster.inventory import Cluster
from cluster.process_table import processes_with
from tests.fake_engine.python import control, end_engine_processes, engine_processes, fake_python
from tests.ray.engine_servers import (
    all_gone,
    argument,
    awaited,
    kill,
    of_gpu,
    restarted,
    server_order,
    started,
    stopped,
)
from tests.ray.real_ray import RealNode, RealRay
from tests.ray.support import START_S, wait_until

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def ray(state_dir: Path, fake_nvml_library: Path) -> Iterator[RealRay]:
    with RealRay(fake_nvml_library) as started_ray:
        started_ray.start_head()
        started_ray.start_nodes(RealNode("gpu-a", nvml_gpus=4), RealNode("gpu-b", nvml_gpus=2))
        yield started_ray


@pytest.fixture(scope="module")
def view(ray: RealRay) -> Iterator[SessionView]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ray.ray_environment().items():
            patch.setenv(name, value)
        with SessionView(open_session(address=ray.address, simulate=None), shows_progress=False) as opened:
            opened.wait(lambda: opened.cluster is not None and num_gpus(opened.cluster) == 6, START_S)
            yield opened


def num_gpus(cluster: Cluster) -> int:
    return sum(len(node.gpus) for node in cluster.nodes)


def ask(view: SessionView, name: str) -> str:
    """Return the text of three tokens."""
    status = view.find(name)
    assert status is not None and status.endpoint is not None
    body = {"model": "tiny", "prompt": "hello", "max_tokens": 3}
    answer = httpx.post(f"{status.endpoint}/v1/completions", json=body, timeout=START_S)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["text"])


def is_measured(row: ReplicaStatus) -> bool:
    return row.proven_age_s is not None and (row.running, row.waiting) == (0, 0)


@pytest.fixture
def python(tmp_path: Path) -> Iterator[Path]:
    made = fake_python(tmp_path / "engine")
    yield made
    end_engine_processes(made)


def test_two_servers_from_start_to_stop(view: SessionView, python: Path) -> None:
    assert view.cluster is not None
    control(python, noise="escapes,bytes,long,carriage")
    spec = server_order(view.cluster, "pair", python, [[("gpu-a", 2)], [("gpu-b", 1)]])
    assert [rank.state for rank in started(view, spec).ranks] == ["ready", "ready"]
    # Metrics come a moment later.
    assert view.wait(lambda: all(is_measured(row) for row in view.find("pair").replicas), START_S)  # type: ignore[union-attr]
    for row in awaited(view, "pair", "ready").replicas:
        assert row.startup is not None and row.startup.kv_cache_tokens
        assert row.restarts == 0

    # Exactly the planned GPUs, in an environment without Ray's variables.
    servers = engine_processes(python, "server")
    assert sorted(argument(one, "--device-ids") for one in servers) == ["1", "2"]
    for one in servers:
        added = ("RAY_", "CUDA_VISIBLE_DEVICES", "PYTHONPATH", "PYTHONBREAKPOINT")
        assert not [name for name in one.env if name.startswith(added)]

    # A user's request goes through the router, and is told apart from proofs.
    assert ask(view, "pair") == " t0 t1 t2"
    assert view.wait(lambda: sum(row.requests_total for row in view.find("pair").replicas) == 1, START_S)  # type: ignore[union-attr]

    page = view.session.logs("pair", 1, 0, -1000, 1000).result(START_S)
    assert any("Application startup complete" in line for line in page.lines)
    assert all(line.isprintable() and "\x1b" not in line for line in page.lines)
    assert (page.node_name, page.start) == ("gpu-b", 1)

    # One server is killed: its replica restarts, the other one serves on.
    (victim,) = of_gpu(python, "server", "2")
    before = of_gpu(python, "", "2")
    other = [one.pid for one in of_gpu(python, "", "1")]
    kill([victim.pid])
    assert awaited(view, "pair", "degraded").replicas[1].ready
    assert ask(view, "pair") == " t0 t1 t2"
    row = restarted(view, "pair", 0, 0)
    assert "server on gpu-a: ended by SIGKILL" in row.last_trouble
    assert len(row.last_log) == 20
    assert all_gone(before, python)
    assert [one.pid for one in of_gpu(python, "", "1")] == other
    stopped(view, "pair", python)


@pytest.mark.long
def test_a_server_over_two_nodes_restarts_as_one(view: SessionView, ray: RealRay, python: Path) -> None:
    assert view.cluster is not None
    spec = server_order(view.cluster, "wide", python, [[("gpu-a", 0), ("gpu-b", 0)]])
    started(view, spec)
    leader, follower = (
        next(one for one in engine_processes(python, "server") if argument(one, "--node-rank") == rank)
        for rank in "01"
    )
    assert ("--headless" in leader.argv, "--headless" in follower.argv) == (False, True)
    page = view.session.logs("wide", 0, 1, -10, 10).result(START_S)
    assert (page.node_name, page.member) == ("gpu-b", 1)

    victims = {
        "the follower's server": lambda: [follower.pid],
        "the leader's agent": lambda: agents(ray, "gpu-a"),
        "a worker": lambda: [engine_processes(python, "worker")[0].pid],
    }
    for restarts, (what, find) in enumerate(victims.items()):
        before = engine_processes(python)
        (victim,) = find()
        kill([victim])
        row = restarted(view, "wide", 0, restarts)
        assert all_gone(before, python), what
        assert row.last_trouble, what
    stopped(view, "wide", python)


def agents(ray: RealRay, node: str) -> list[int]:
    return [pid for pid, command in ray.pids(node).items() if command.startswith("ray::NodeAgent")]


def test_health_without_tokens_is_not_ready(view: SessionView, python: Path) -> None:
    """/health answers 200 all the time."""
    assert view.cluster is not None
    started(view, server_order(view.cluster, "liar", python, [[("gpu-a", 0), ("gpu-a", 1)]]))
    control(python, dead_rank=True)
    seen = awaited(view, "liar", "starting")
    assert "HTTP 500" in seen.replicas[0].last_trouble
    # The next start listens, but is never ready.
    assert view.wait(lambda: view.find("liar").replicas[0].restarts == 2, START_S)  # type: ignore[union-attr]
    row = view.find("liar").replicas[0]  # type: ignore[union-attr]
    assert "HTTP 500" in row.last_trouble and len(row.last_log) == 20
    control(python, dead_rank=False)
    restarted(view, "liar", 0, 1)
    stopped(view, "liar", python)


@pytest.mark.parametrize(("death", "words"), [("import", "ImportError"), ("unsupported", "not supported")])
def test_what_a_restart_cannot_fix_fails_at_once(
    view: SessionView, python: Path, death: str, words: str
) -> None:
    assert view.cluster is not None
    control(python, die=death)
    view.session.deploy(server_order(view.cluster, death, python, [[("gpu-b", 1)]])).result(START_S)
    seen = awaited(view, death, "failed")
    assert words in seen.reason, seen.reason
    assert seen.replicas[0].restarts == 0 and seen.replicas[0].last_log
    stopped(view, death, python)


def test_a_server_that_dies_while_loading_is_started_again(view: SessionView, python: Path) -> None:
    assert view.cluster is not None
    control(python, die="loading", die_starts=1)
    status = started(view, server_order(view.cluster, "again", python, [[("gpu-b", 0)]]))
    assert status.replicas[0].restarts == 1
    assert any("made to fail while loading" in line for line in status.replicas[0].last_log)
    stopped(view, "again", python)


def test_a_controller_that_is_killed_leaves_no_server(view: SessionView, ray: RealRay, python: Path) -> None:
    """Ray restarts the controller, which then starts new servers."""
    assert view.cluster is not None
    control(python, ignore_sigterm=True, double_fork=True)
    started(view, server_order(view.cluster, "orphans", python, [[("gpu-a", 3), ("gpu-a", 2)]]))
    before = engine_processes(python)
    kill([pid for pid, command in ray.pids("head").items() if command.startswith("ray::Controller")])
    assert wait_until(lambda: all_gone(before, python), 30)
    view.wait(lambda: (seen := view.find("orphans")) is not None and seen.controller_restarts == 1, START_S)
    awaited(view, "orphans", "ready")
    control(python, ignore_sigterm=False)
    stopped(view, "orphans", python)


def test_stopping_a_start_leaves_nothing(view: SessionView, python: Path) -> None:
    assert view.cluster is not None
    control(python, load_s=60.0)
    view.session.deploy(server_order(view.cluster, "early", python, [[("gpu-b", 0)]])).result(START_S)
    assert view.wait(lambda: bool(engine_processes(python)), START_S)
    assert view.wait(lambda: view.find("early").ranks[0].state == "loading", START_S)  # type: ignore[union-attr]
    stopped(view, "early", python)


def test_a_lost_node_takes_its_servers_with_it(view: SessionView, ray: RealRay, python: Path) -> None:
    """The last test here: the node does not come back."""
    assert view.cluster is not None
    started(view, server_order(view.cluster, "lost", python, [[("gpu-a", 0)], [("gpu-b", 0)]]))
    before = engine_processes(python)
    kill([ray.raylet_pid("gpu-b")])
    seen = awaited(view, "lost", "degraded")
    assert (seen.replicas[0].ready, seen.replicas[1].ready) == (True, False)
    assert wait_until(lambda: len(engine_processes(python, "server")) == 1, 30)
    assert not all_gone(before, python)
    stopped(view, "lost", python)
    assert processes_with("CLUSTERVIEW_SERVER", "") == []
