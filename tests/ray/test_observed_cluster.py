"""A real Ray dashboard, watched without joining; a node that dies, as both ways of looking show it."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from os import kill
from pathlib import Path

import pytest

from cluster.bridge.open_session import open_session
from cluster.bridge.session import Session
from cluster.cli.session_view import SessionView, finish
from cluster.inventory import Node
from tests.cluster.cli.run_clusterview import one_line_error, run_clusterview
from tests.ray.real_ray import RealNode, RealRay, free_port, new_token
from tests.ray.support import START_S

pytestmark = pytest.mark.ray

DASHBOARD = f"127.0.0.2:{free_port()}"


@pytest.fixture(scope="module")
def real(state_dir: Path, fake_nvml_library: Path) -> Iterator[RealRay]:
    """A head with a dashboard, and two nodes with GPUs."""
    host, _, port = DASHBOARD.partition(":")
    options = {"include-dashboard": "true", "dashboard-host": host, "dashboard-port": port}
    with RealRay(fake_nvml_library, token=new_token()) as ray:
        ray.start_head(**options)
        ray.start_nodes(RealNode("gpu-a", nvml_gpus=4), RealNode("gpu-b", nvml_gpus=2))
        yield ray


@pytest.fixture
def driver(real: RealRay, monkeypatch: pytest.MonkeyPatch) -> RealRay:
    for name, value in real.ray_environment().items():
        monkeypatch.setenv(name, value)
    return real


def observed(**environment: str) -> tuple[dict[str, list[str]], str]:
    """Return each node's GPU types as a dry run of the dashboard's cluster has them, and its stderr."""
    done = run_clusterview("--dry-run", "--json", "--observe", f"http://{DASHBOARD}", **environment)
    assert done.returncode == 0, done.stderr
    nodes = json.loads(done.stdout)["cluster"]["nodes"]
    return {node["name"]: [gpu["type"] for gpu in node["gpus"]] for node in nodes}, done.stderr


def test_a_dry_run_on_what_the_dashboard_shows(driver: RealRay) -> None:
    with SessionView(session_of(driver, observe=True), shows_progress=False) as view:
        # Ray's reporters send every 5 s, the first time after some more.
        assert view.wait(lambda: {len(node.gpus) for node in nodes_of(view)} >= {4, 2}, START_S)
    types, said = observed(**driver.user_environment())
    assert types == {"gpu-a": ["A100-80GB"] * 4, "gpu-b": ["A100-80GB"] * 2, "head": []}
    assert "NVLink is assumed" in said


def test_a_wrong_token_is_reported_but_not_shown(real: RealRay) -> None:
    environment = real.user_environment(RAY_AUTH_TOKEN="wr0ng")
    line = one_line_error(run_clusterview("--dry-run", "--observe", DASHBOARD, **environment))
    assert "the token in RAY_AUTH_TOKEN is not the cluster's token" in line
    assert "wr0ng" not in line


def session_of(ray: RealRay, *, observe: bool) -> Session:
    if observe:
        return open_session(address=None, simulate=None, observe=DASHBOARD)
    return open_session(address=ray.address, simulate=None)


def nodes_of(view: SessionView) -> tuple[Node, ...]:
    return view.cluster.nodes if view.cluster is not None else ()


def named(view: SessionView, name: str) -> Node | None:
    return next((node for node in nodes_of(view) if node.name == name), None)


def is_dead(view: SessionView, name: str) -> bool:
    node = named(view, name)
    return node is not None and node.left is not None


def test_a_node_that_dies_stays_until_it_is_dismissed(driver: RealRay) -> None:
    joined = SessionView(session_of(driver, observe=False), shows_progress=False)
    watched = SessionView(session_of(driver, observe=True), shows_progress=False)
    with joined, watched:
        for view in (joined, watched):
            assert view.wait(lambda view=view: len(getattr(named(view, "gpu-b"), "gpus", ())) == 2, START_S)
        assert joined.wait(lambda: any(detail.gpus for detail in joined.details.values()), START_S)
        kill(driver.raylet_pid("gpu-b"), signal.SIGTERM)
        for view in (joined, watched):
            assert view.wait(lambda view=view: is_dead(view, "gpu-b"), START_S)
            node = named(view, "gpu-b")
            assert node is not None and node.left is not None and node.left.reason
            assert [gpu.usable for gpu in node.gpus] == [False, False]
            finish(view.session.dismiss(node.node_id), START_S)
            assert view.wait(lambda view=view: named(view, "gpu-b") is None, START_S)
