"""What a node's answer means: a line for what is missing, with the node and how to get it."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from cluster.cluster_spec import parse_cluster_spec
from cluster.deploy.lifecycle import Action, GroupView, next_action
from cluster.deploy.node_check import NodeFacts, NodeNeeds, NodeQuestion, look_at_node, version_of
from cluster.deploy.permanent import describe_with_node, is_permanent
from cluster.deploy.preflight import (
    NodeVerdict,
    agreed,
    checked_spec,
    needs_of,
    unanswered,
    verdict_on,
    verdicts_here,
)
from cluster.deploy.rank_report import RankReport, RankStep
from cluster.deploy.spec import DeploymentSpec, ModelSource
from cluster.deploy.status_of import other_port
from cluster.errors import BadInput, DeployFailed, Unreachable
from cluster.packages import requirement
from tests.ray.support import TINY_LLAMA, order

CLUSTER = parse_cluster_spec("2x2xA100-80GB", "simulated")
HEAD = ("head-id", "head")


def on_gpus(source: ModelSource | None = None, **changes: Any) -> DeploymentSpec:
    """Return an order of one rank on each node."""
    source = source or ModelSource(name="tiny", config=TINY_LLAMA)
    fields = {"device": "cuda", "simulated": False, "model": source, **changes}
    return order(CLUSTER, "tiny", [[(0, 0)], [(1, 0)]], **fields)


def node(question: NodeQuestion, has_ranks: bool = True) -> NodeNeeds:
    return NodeNeeds("id", "gpu-a", question, has_ranks)


def facts(**changes: Any) -> NodeFacts:
    versions = changes.pop("versions", {"torch": "2.9.0"})
    return NodeFacts("/opt/python3.11", "3.11.9", versions, **changes)


def test_each_node_is_asked_for_what_runs_on_it() -> None:
    dummy = {one.name: one for one in needs_of(on_gpus(), HEAD)}
    assert (
        dummy["node-1"].question.packages == ("pydantic", "torch") and dummy["node-1"].question.imports_torch
    )
    assert dummy["head"].question.packages == ("pydantic", "starlette", "uvicorn", "prometheus_client")
    assert not dummy["head"].has_ranks
    source = ModelSource(name="m", path="/models/m", config={})
    asked = {one.name: one.question for one in needs_of(on_gpus(source, router_port=8000), HEAD)}
    assert asked["node-2"].packages == ("pydantic", "torch", "safetensors") and asked["node-2"].checks_weights
    assert asked["head"].packages[-2:] == ("tokenizers", "jinja2") and asked["head"].port == 8000
    assert asked["head"].folder == "/models/m" and not asked["head"].checks_weights
    on_cpu = needs_of(on_gpus(device="cpu"), (CLUSTER.nodes[0].node_id, "node-1"))
    assert len(on_cpu) == 2 and not on_cpu[0].question.imports_torch


def test_missing_packages_are_one_line_with_their_remedy() -> None:
    verdict = verdict_on(node(NodeQuestion(())), facts(versions={"torch": None, "safetensors": None}))
    assert verdict.state == "failed" and verdict.packages == {"torch": None, "safetensors": None}
    (line,) = verdict.problems
    assert line.startswith("node gpu-a: torch and safetensors are missing from its Python (/opt/python3.11).")
    assert f"/opt/python3.11 -m pip install '{requirement('torch')}'" in line


def test_torch_without_cuda_or_that_does_not_import_is_said() -> None:
    (line,) = verdict_on(node(NodeQuestion(())), facts(torch_cuda="")).problems
    assert "torch 2.9.0 of its Python (/opt/python3.11) is built without CUDA" in line
    broken = facts(torch_error="OSError: libcudart.so.12: cannot open shared object file")
    (line,) = verdict_on(node(NodeQuestion(())), broken).problems
    assert "libcudart.so.12" in line and "--force-reinstall" in line
    assert verdict_on(node(NodeQuestion(())), facts(torch_cuda="12.8")).state == "ok"
    # An import that took too long is left to the rank.
    assert verdict_on(node(NodeQuestion(())), facts(torch_cuda=None)).state == "ok"


def test_missing_weights_are_said_with_the_ways_to_get_them() -> None:
    missing = facts(weights_problem="is not in the hub cache /root/hub")
    weights = NodeQuestion((), hub_id="org/name", checks_weights=True)
    (line,) = verdict_on(node(weights), missing).problems
    for told in ("org/name is not in the hub cache /root/hub", "hf download org/name", "--model FOLDER"):
        assert told in line
    assert "huggingface-cli download org/name" in line and "--load-format dummy" in line
    (line,) = verdict_on(
        node(NodeQuestion((), folder="/m", checks_weights=True)),
        facts(weights_problem="/m does not exist"),
    ).problems
    assert line.startswith("node gpu-a: /m does not exist. ") and "--load-format dummy" in line


def test_dummy_weights_are_not_offered_to_who_asked_for_them() -> None:
    missing = facts(weights_problem="is not in the hub cache /root/hub")
    (line,) = verdict_on(node(NodeQuestion((), hub_id="org/name")), missing).problems
    assert "dummy weights need its config and tokenizer too" in line and "--load-format" not in line
    assert "hf download org/name --include '*.json' '*.jinja'" in line


def test_a_taken_port_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert look_at_node(NodeQuestion((), port=port)).port_taken
    assert not look_at_node(NodeQuestion((), port=port)).port_taken
    (line,) = verdict_on(node(NodeQuestion((), port=8000)), facts(port_taken=True)).problems
    assert "port 8000 is taken" in line and "--port" in line


def test_a_port_that_was_taken_in_between_is_said() -> None:
    assert other_port(8000, "http://127.0.0.1:8000") == other_port(0, "http://127.0.0.1:4711") == ()
    assert other_port(8000, None) == ()
    assert other_port(8000, "http://127.0.0.1:4711") == ("port 8000 was taken: the router listens on 4711",)


def _verdict(name: str, **changes: Any) -> NodeVerdict:
    return NodeVerdict(node_id=name, node=name, state="ok", **changes)


def test_all_ranks_load_one_revision() -> None:
    source = ModelSource(name="m", hub_id="org/name", config={})
    spec = on_gpus(source)
    needs = needs_of(spec, (CLUSTER.nodes[0].node_id, "node-1"))
    names = [one.node_id for one in needs]
    same = agreed([_verdict(name, revision="abc") for name in names], needs)
    assert checked_spec(spec, same).model.revision == "abc"
    mixed = agreed([_verdict(names[0], revision="abc"), _verdict(names[1], revision="def")], needs)
    with pytest.raises(DeployFailed, match="different revisions of org/name") as refused:
        checked_spec(spec, mixed)
    assert "abc on" in refused.value.message and "--revision COMMIT" in refused.value.message


def test_the_router_needs_the_tokenizer_that_the_model_has() -> None:
    source = ModelSource(name="m", path="/models/m", config={})
    spec = on_gpus(source)
    needs = needs_of(spec, HEAD)
    with_tokenizer = [_verdict(one.node_id, has_tokenizer=one.has_ranks) for one in needs]
    with pytest.raises(DeployFailed, match="node head: the router runs there and needs the model's tok"):
        checked_spec(spec, agreed(with_tokenizer, needs))
    without = [_verdict(one.node_id) for one in needs]
    checked = checked_spec(spec, agreed(without, needs))
    assert "no tokenizer.json" in checked.remarks[-1] and checked.model.without_tokenizer
    assert checked_spec(on_gpus(), agreed(without, needs)).remarks == ()


def test_a_node_that_does_not_answer_keeps_the_order_back() -> None:
    (one, *_) = needs_of(on_gpus(), HEAD)
    with pytest.raises(DeployFailed, match="node node-1: could not be checked: no answer within 9 s"):
        checked_spec(on_gpus(), [unanswered(one, "no answer within 9 s")])


def test_this_machine_can_be_looked_at_in_place_of_nodes_that_run_in_its_python(tmp_path: Path) -> None:
    source = ModelSource(name="m", path=str(tmp_path), config={})
    verdicts = verdicts_here(on_gpus(source, device="cpu", simulated=True))
    assert [verdict.node for verdict in verdicts] == ["node-1", "node-2"]
    assert all("has no config.json" in verdict.problems[0] for verdict in verdicts)
    assert verdicts[0].packages["torch"]


def test_a_folder_that_only_looks_like_a_package_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nopackage").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert version_of("nopackage") is None and version_of("no.such.package") is None
    assert version_of("pytest") == pytest.__version__


class Chained(Exception):
    """An error that another caused."""


def _raised_from(cause: BaseException) -> BaseException:
    error = Chained("outer")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "permanent"),
    [
        (ModuleNotFoundError("No module named 'torch'", name="torch"), True),
        (ImportError("libcudart.so.12: cannot open shared object file"), True),
        (BadInput("not supported"), True),
        (FileNotFoundError(2, "No such file", "/m/model.safetensors"), True),
        (PermissionError(13, "Permission denied", "/m"), True),
        (AssertionError("Torch not compiled with CUDA enabled"), True),
        (RuntimeError("CUDA error: no kernel image is available for execution on the device"), True),
        (_raised_from(ImportError("x")), True),
        (RuntimeError("Connection reset by peer"), False),
        (Unreachable("gone"), False),
        (TimeoutError("late"), False),
        (_raised_from(ConnectionError("x")), False),
    ],
)
def test_what_the_next_start_would_meet_again_ends_a_deployment_at_once(
    error: BaseException, permanent: bool
) -> None:
    assert is_permanent(error) is permanent
    report = RankReport(RankStep.FAILED, reason=describe_with_node(error, "gpu-a"), permanent=permanent)
    action = next_action(GroupView(ranks=(report,))).action
    assert action is (Action.GIVE_UP if permanent else Action.RESTART)


def test_an_error_of_the_nodes_python_names_node_and_remedy() -> None:
    line = describe_with_node(ModuleNotFoundError("No module named 'jinja2'", name="jinja2.sandbox"), "gpu-a")
    assert line.startswith("jinja2 is missing from the Python of node gpu-a (")
    assert f"-m pip install '{requirement('jinja2')}'" in line
    assert "on node gpu-a (" in describe_with_node(ImportError("libcudart.so.12"), "gpu-a")
    assert describe_with_node(RuntimeError("reset\nmore"), "gpu-a") == "RuntimeError: reset"
