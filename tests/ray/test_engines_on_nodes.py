"""Engines of real nodes: looked up when a session starts, planned for, checked before anything is claimed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.bridge.open_session import open_session
from cluster.cli.session_view import SessionView, finish
from cluster.deploy.spec import DeploymentSpec
from cluster.inventory import Node
from cluster.planner.plan import plan
from cluster.planner.request import PlanRequest
from tests.cluster.cli.run_clusterview import run_clusterview
from tests.fake_engine.python import fake_python, set_version
from tests.ray.real_ray import RealNode, RealRay
from tests.ray.support import TINY_LLAMA

pytestmark = pytest.mark.ray

ORDER_S = 120.0
# On one node the interpreter answers as if it were not there.
_ONLY_ON_A = """#!/bin/sh
test "$FAKE_UUID" = gpu-a || {{ echo "no such engine here" >&2; exit 1; }}
exec {python} "$@"
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has a fake vllm 0.32.0."""
    return fake_python(tmp_path_factory.mktemp("vllm"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what an engine reads when weights are made up."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "config.json").write_text(json.dumps(TINY_LLAMA))
    (folder / "tokenizer.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def ray(state_dir: Path, fake_nvml_library: Path) -> Iterator[RealRay]:
    """A head without GPUs and two nodes with two each; this process may join them."""
    with RealRay(fake_nvml_library) as started, pytest.MonkeyPatch.context() as patch:
        started.start_head()
        started.start_nodes(RealNode("gpu-a", nvml_gpus=2), RealNode("gpu-b", nvml_gpus=2))
        for name, value in started.ray_environment().items():
            patch.setenv(name, value)
        yield started


def nodes_seen(view: SessionView) -> dict[str, Node]:
    return {node.name: node for node in view.cluster_with_engines().nodes}


def ordered(view: SessionView, model: Path, python: Path) -> DeploymentSpec:
    """Return the order that the screen would make for this model, two GPUs per replica."""
    from cluster.catalog.models import load_model
    from cluster.deploy.order import OrderTerms, choose_candidate, choose_engine, make_order

    cluster, spec = view.cluster_with_engines(), load_model(str(model))
    request = choose_engine(PlanRequest(tp=2, pp=1, dp=2, load_format="dummy"), cluster, spec).request
    answer = plan(cluster, spec, request)
    terms = OrderTerms(1.0, engine_pythons={"vllm": str(python)})
    return make_order(answer, choose_candidate(answer), terms)


def test_a_session_plans_for_the_engine_that_its_nodes_have(ray: RealRay, model: Path, python: Path) -> None:
    pythons = {"vllm": str(python)}
    session = open_session(address=ray.address, simulate=None, engine_pythons=pythons)
    with SessionView(session, shows_progress=False) as view:
        seen = nodes_seen(view)
        assert {name: node.engines for name, node in seen.items() if node.gpus} == {
            "gpu-a": {"vllm": "0.32.0"},
            "gpu-b": {"vllm": "0.32.0"},
        }
        spec = ordered(view, model, python)
        assert spec.engine.text == "vllm 0.32.0" and spec.server is not None
        finish(view.session.check(spec), ORDER_S)
        assert all(verdict.state == "ok" for verdict in view.preflight), view.preflight
        with_engine = {verdict.node: verdict.engine for verdict in view.preflight if verdict.engine}
        assert with_engine == {"gpu-a": "0.32.0", "gpu-b": "0.32.0"}
        # Another version appears while the session lasts: the nodes are asked again for each order.
        set_version(python, "0.33.0")
        try:
            finish(view.session.check(spec), ORDER_S)
        finally:
            set_version(python, "0.32.0")
        lines = [line for verdict in view.preflight for line in verdict.problems]
        assert [line.partition(":")[0] for line in lines] == ["node gpu-a", "node gpu-b"]
        assert all("has vllm 0.33.0, but 0.32.0 was planned for" in line for line in lines)


def test_the_command_prints_what_it_would_start_on_each_node(ray: RealRay, model: Path, python: Path) -> None:
    options = ("--model", str(model), "--load-format", "dummy", "--tp", "2", "--pp", "1", "--json")
    done = run_clusterview(
        *("deploy", "--dry-run", "--address", ray.address, "--engine-python", str(python)),
        *options,
        **ray.user_environment(),
    )
    assert done.returncode == 0, done.stderr
    order = json.loads(done.stdout)["order"]
    assert order["engine"] == {"name": "vllm", "version": "0.32.0", "planned_for": "vllm 0.32.0"}
    assert "planned for vllm 0.32.0, which is installed on the nodes" in done.stderr
    assert {command["node"] for command in order["commands"]} <= {"gpu-a", "gpu-b"}
    argv = order["commands"][0]["argv"]
    assert argv[:3] == ["vllm", "serve", str(model)] and "--tensor-parallel-size" in argv


def test_an_engine_that_is_missing_somewhere_is_refused_in_one_line(
    ray: RealRay, model: Path, python: Path, tmp_path: Path
) -> None:
    partly = tmp_path / "python"
    partly.write_text(_ONLY_ON_A.format(python=python))
    partly.chmod(0o755)
    options = ("--model", str(model), "--load-format", "dummy", "--tp", "2", "--pp", "1", "--dp", "2")
    arguments = ("deploy", "--address", ray.address, "--engine", "vllm", "--engine-python", str(partly))
    done = run_clusterview(*arguments, *options, "--yes", **ray.user_environment())
    assert done.returncode == 2 and done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if "is not installed on" in line]
    assert f"vllm is not installed on gpu-b ({partly} is not a Python that can look up its packages" in line
    assert "no such engine here" in line and "--engine-python PATH" in line
