"""Which engine a deployment runs: the one that was asked for, else by what the nodes have."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.catalog.engine_catalog import load_engine
from cluster.catalog.engine_version import is_cpu_build, is_same_release
from cluster.catalog.models import load_model
from cluster.cluster_spec import parse_cluster_spec
from cluster.deploy.engine_choice import EngineChoice, choose_engine
from cluster.planner.request import PlanRequest
from tests.cluster.deploy.order.engines_on import Engines, with_engines

REAL = parse_cluster_spec("2x4xA100-80GB", "spec")
SIMULATED = parse_cluster_spec("2x4xA100-80GB", "simulated")
DENSE, MIXTURE = "llama-3.1-8b", "Qwen/Qwen3-30B-A3B"


def chosen(*engines: Engines, model: str = DENSE, **request: Any) -> EngineChoice:
    return choose_engine(PlanRequest(**request), with_engines(REAL, *engines), load_model(model))


def engine(choice: EngineChoice) -> tuple[str, str | None]:
    return choice.request.engine, choice.request.engine_version


def test_an_installed_engine_is_used_in_the_version_that_is_installed() -> None:
    choice = chosen({"vllm": "0.30.0", "sglang": "0.5.23"})
    assert engine(choice) == ("vllm", "0.30.0")
    assert choice.said == "planned for vllm 0.30.0, which is installed on the nodes"
    usual = load_engine("vllm").version
    assert chosen({"vllm": usual}).said == "" and engine(chosen({"vllm": usual}))[1] == usual


def test_without_it_on_every_node_the_builtin_engine_runs_what_it_can() -> None:
    choice = chosen({"vllm": "0.32.0"}, {})
    assert engine(choice) == ("builtin", None)
    assert choice.said == "vllm is not installed on node-2: the built-in engine is used"


def test_a_model_that_the_builtin_engine_does_not_run_is_still_planned_for_the_default() -> None:
    assert engine(chosen({}, model=MIXTURE)) == ("vllm", None)
    assert engine(chosen({}, model="llama-3.1-8b-awq")) == ("vllm", None)


def test_what_was_asked_for_stays() -> None:
    assert engine(chosen({}, engine_asked=True)) == ("vllm", None)
    assert engine(chosen({}, engine_version="0.11.0")) == ("vllm", "0.11.0")
    both = {"vllm": "0.32.0", "sglang": "0.5.23"}
    assert engine(chosen(both, engine="builtin", engine_asked=True)) == ("builtin", None)
    assert engine(chosen(both, engine="sglang", engine_asked=True)) == ("sglang", "0.5.23")
    assert engine(chosen(both, engine_version="0.11.0")) == ("vllm", "0.11.0")
    # The build that is installed, where it is the release that was asked for.
    assert engine(chosen({"vllm": "0.32.0+cpu"}, engine_version="0.32"))[1] == "0.32.0+cpu"


def test_of_several_versions_most_nodes_decide() -> None:
    """Which nodes a layout needs is not known before it is planned; the order refuses a mix."""
    three = parse_cluster_spec("3x4xA100-80GB", "spec")
    mixed = with_engines(three, {"vllm": "0.31.0"}, {"vllm": "0.32.0"})
    assert engine(choose_engine(PlanRequest(), mixed, load_model(DENSE))) == ("vllm", "0.32.0")


def test_nodes_without_the_engine_are_not_said_to_have_it() -> None:
    choice = chosen({"vllm": "0.30.0"}, {}, engine_asked=True)
    assert choice.said == "planned for vllm 0.30.0, which is installed on node-1"


def test_a_version_that_cannot_be_read_is_no_version_to_plan_for() -> None:
    assert engine(chosen({"vllm": "unknown"})) == ("vllm", None)


@pytest.mark.parametrize("cluster", [REAL, SIMULATED])
def test_where_nobody_looked_the_default_stays(cluster: Any) -> None:
    assert engine(choose_engine(PlanRequest(), cluster, load_model(DENSE))) == ("vllm", None)


def test_nodes_without_a_usable_gpu_have_no_say() -> None:
    cluster = with_engines(REAL, {"vllm": "0.32.0"}, {})
    head = cluster.nodes[1].model_copy(update={"gpus": ()})
    cluster = cluster.model_copy(update={"nodes": (cluster.nodes[0], head)})
    assert engine(choose_engine(PlanRequest(), cluster, load_model(DENSE)))[0] == "vllm"


def test_training_has_no_engine() -> None:
    assert engine(chosen({}, workload="training")) == ("vllm", None)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("0.32.0", "0.32.0+cpu", True),
        ("0.32", "v0.32.0", True),
        ("0.32.0", "0.32.1", False),
        ("0.32.0", "0.32.0.dev5+gabc", False),
        ("0.32.0rc1", "0.32.0", False),
        ("0.14.0.dev0+g4393", "0.14.0.dev0+g4393", True),
        ("0.6.3.post1", "0.6.3", False),
        ("unknown", "0.32.0", False),
    ],
)
def test_versions_that_name_the_same_code(one: str, other: str, same: bool) -> None:
    assert is_same_release(one, other) is is_same_release(other, one) is same


def test_builds_for_cpus_say_so() -> None:
    assert is_cpu_build("0.32.0+cpu") and is_cpu_build("0.32.0+cpu.git1")
    assert not is_cpu_build("0.32.0") and not is_cpu_build("0.32.0+cu128")
