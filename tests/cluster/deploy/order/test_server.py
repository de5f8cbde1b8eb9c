"""Orders for engines that run as servers: what was planned is started, on nodes that have the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.deploy.order import why_not_runnable
from cluster.deploy.server_commands import server_commands
from cluster.deploy.spec import DeploymentSpec
from cluster.errors import BadInput
from tests.cluster.catalog.test_folder import folder
from tests.cluster.deploy.order.engines_on import with_engines
from tests.cluster.deploy.order.test_make import LLAMA, REAL, ordered, planned, write_config

VERSION = "0.32.0"
INSTALLED = with_engines(REAL, {"vllm": VERSION})


def server(
    model: str = "llama-3.1-70b", terms: dict[str, Any] | None = None, **request: Any
) -> DeploymentSpec:
    answer, candidate = planned(model, "vllm", INSTALLED, engine_version=VERSION, **request)
    assert why_not_runnable(answer, candidate) is None
    return ordered(answer, candidate, **(terms or {}))


def test_the_servers_get_what_was_planned() -> None:
    spec = server(tp=4, pp=1, terms={"engine_pythons": {"vllm": "/opt/vllm/bin/python", "sglang": "/opt/s"}})
    assert spec.server is not None and spec.server.python == "/opt/vllm/bin/python"
    launch = spec.server.launch
    assert (launch.model, launch.tp, launch.pp, launch.device) == ("meta-llama/Llama-3.1-70B", 4, 1, "cuda")
    assert (spec.max_model_len, spec.max_num_seqs) == (launch.max_model_len, launch.max_num_seqs)
    assert spec.max_model_len == 131072 and spec.max_num_seqs == 256 and spec.device == "cuda"
    assert spec.engine.text == "vllm 0.32.0" and spec.engine.is_as_planned
    assert (spec.model.hub_id, spec.model.weights) == ("meta-llama/Llama-3.1-70B", "checkpoint")
    assert spec.remarks == () and not spec.simulated and len(spec.ranks) == 8
    assert server(tp=4).server.python is None  # type: ignore[union-attr]


def test_each_rank_is_expected_to_hold_the_whole_budget() -> None:
    answer, candidate = planned("llama-3.1-70b", "vllm", INSTALLED, engine_version=VERSION, tp=2, pp=2)
    spec = ordered(answer, candidate)
    assert [rank.planned_bytes for rank in spec.ranks[:4]] == [
        candidate.memory_by_stage[stage].total_bytes for stage in (0, 0, 1, 1)
    ]
    assert spec.predicted.kv_cache_tokens == candidate.kv_cache_tokens
    assert spec.predicted.max_concurrency == candidate.max_concurrency
    assert candidate.memory_per_gpu is not None
    assert spec.predicted.kv_cache_bytes == candidate.memory_per_gpu.kv_cache_bytes
    assert spec.ranks[-1].layers == (candidate.stages[1].first, candidate.stages[1].end)


def test_options_that_the_builtin_engine_refuses_are_passed_on() -> None:
    spec = server(kv_cache_dtype="fp8", quantization="fp8", gpu_memory_utilization=0.95, dtype="bf16", tp=4)
    assert spec.server is not None
    launch = spec.server.launch
    assert (launch.kv_cache_dtype, launch.quantization, launch.dtype) == ("fp8", "fp8", "bfloat16")
    assert launch.gpu_memory_utilization == 0.95
    mixture = server("Qwen/Qwen3-30B-A3B", tp=2, ep=2)
    assert mixture.server is not None and mixture.server.launch.expert_parallel


def test_dummy_weights_still_name_the_model_whose_config_and_tokenizer_are_read(tmp_path: Path) -> None:
    spec = server("llama-3.1-8b", load_format="dummy")
    assert spec.server is not None and spec.server.launch.load_format == "dummy"
    assert spec.model.weights == "dummy" and spec.server.launch.model == "meta-llama/Llama-3.1-8B"
    here = folder(tmp_path, {**LLAMA, "architectures": ["LlamaForCausalLM"]})
    own = server(str(here))
    assert own.server is not None and own.server.launch.model == own.model.path == str(here)


def test_a_lone_config_is_nothing_that_an_engine_can_load(tmp_path: Path) -> None:
    write_config(tmp_path / "lone.json")
    answer, candidate = planned(str(tmp_path / "lone.json"), "vllm", REAL, load_format="dummy", tp=1)
    with pytest.raises(BadInput, match=r"lone\.json has a config but no weights and no tokenizer"):
        ordered(answer, candidate)


def test_arguments_for_the_engine_are_passed_on_and_said() -> None:
    spec = server(tp=4, terms={"engine_args": ("--trust-remote-code",)})
    assert spec.server is not None and spec.server.launch.extra_args == ("--trust-remote-code",)
    assert "vllm also gets --trust-remote-code" in spec.remarks[0]
    with pytest.raises(BadInput, match="the built-in engine has no arguments"):
        ordered(*planned("llama-3.1-8b", tp=1), engine_args=("--trust-remote-code",))


def test_a_build_for_cpus_is_started_as_one_and_said() -> None:
    cluster = with_engines(REAL, {"vllm": "0.32.0+cpu"})
    spec = ordered(*planned("llama-3.1-8b", "vllm", cluster, engine_version="0.32.0+cpu", tp=2))
    assert spec.server is not None and spec.server.launch.device == spec.device == "cpu"
    assert "is built for CPUs" in spec.remarks[0]


@pytest.mark.parametrize(
    ("engines", "told", "hint"),
    [
        (({},), "vllm is not installed on node-1, node-2", "--engine-python PATH"),
        (({"vllm": VERSION}, {"sglang": "0.5.23"}), "vllm is not installed on node-2", "pip install vllm"),
        (
            ({"vllm": VERSION}, {"vllm": "0.31.0"}),
            "different versions of vllm: 0.32.0 on node-1; 0.31.0 on node-2",
            "the same version",
        ),
        (
            ({"vllm": "0.33.0"},),
            "vllm 0.32.0 is not installed: 0.33.0 is (node-1, node-2)",
            "--engine-version",
        ),
    ],
)
def test_nodes_without_the_engine_are_refused_before_anything_is_asked(
    engines: tuple[dict[str, str], ...], told: str, hint: str
) -> None:
    answer, candidate = planned(
        "llama-3.1-70b", "vllm", with_engines(REAL, *engines), engine_version=VERSION, tp=4, dp=2
    )
    with pytest.raises(BadInput) as refused:
        ordered(answer, candidate)
    assert told in refused.value.message and hint in refused.value.hint


def test_only_the_nodes_of_the_layout_need_the_engine() -> None:
    cluster = with_engines(REAL, {"vllm": VERSION}, {})
    answer, candidate = planned("llama-3.1-70b", "vllm", cluster, engine_version=VERSION, tp=4, pp=1, dp=1)
    assert {place.node for place in candidate.placement} == {"node-1"}
    assert why_not_runnable(answer, candidate) is None


def test_why_an_interpreter_could_not_be_asked_is_said() -> None:
    cluster = with_engines(REAL, {}, error="/opt/vllm/bin/python does not exist")
    error = why_not_runnable(*planned("llama-3.1-70b", "vllm", cluster, tp=4))
    assert error is not None and "(/opt/vllm/bin/python does not exist)" in error.message


def test_what_is_not_known_of_a_node_is_left_to_the_preflight() -> None:
    assert why_not_runnable(*planned("llama-3.1-70b", "vllm", with_engines(REAL, None), tp=4)) is None


def test_a_replica_that_engines_cannot_divide_is_refused() -> None:
    answer, _ = planned("llama-3.1-8b", "vllm", INSTALLED, engine_version=VERSION, tp=1, pp=7)
    uneven = next(one for one in answer.candidates if one.layout.pp == 7)
    error = why_not_runnable(answer, uneven)
    assert error is not None and error.message.startswith("PP=7: the replica's ranks are spread unevenly")


def test_each_server_has_its_command() -> None:
    addresses = {"node-1": "10.0.0.1", "node-2": "10.0.0.2"}
    alone = server_commands(server(tp=4, dp=2), addresses)
    assert [(one.replica, one.member, one.node_name) for one in alone] == [(0, 0, "node-1"), (1, 0, "node-2")]
    assert "vllm serve meta-llama/Llama-3.1-70B" in alone[0].text and "--port 8001" in alone[1].text
    together = server_commands(server("llama-3.1-70b", tp=4, pp=2), addresses)
    assert [(one.replica, one.member) for one in together] == [(0, 0), (0, 1)]
    assert all("--master-addr 10.0.0.1 --master-port 29500" in one.text for one in together)
    assert "--headless" not in together[0].text and "--headless" in together[1].text
    assert "--host" in together[0].text and "10.0.0.1" in together[0].text
    assert server_commands(ordered(*planned("llama-3.1-8b", tp=1)), addresses) == ()
