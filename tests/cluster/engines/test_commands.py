"""The commands that start servers: golden lines of real plans, and the rules of what stands in them."""

from __future__ import annotations

import pytest

from cluster.engines.adapter import load_adapter
from cluster.engines.launch import Member, ServerLaunch
from tests.cluster.engines.golden import VERSIONS, commands, golden_file
from tests.cluster.engines.planned import STRATEGIES, typed
from tests.cluster.planner.ask import LLAMA_8B

VLLM, SGLANG = load_adapter("vllm"), load_adapter("sglang")
LAUNCH = ServerLaunch(model="/models/tiny", served_name="tiny")
LEADER = Member(http_port=8000, gpu_indices=(2, 3), master_port=29600)

# What vLLM's recipes pass for each strategy; what they leave out on the followers is checked further below.
RECIPES = {
    "single_node_tp": ["--tensor-parallel-size 4"],
    "single_node_tep": ["--tensor-parallel-size 4", "--enable-expert-parallel"],
    "single_node_dep": ["--data-parallel-size 8", "--enable-expert-parallel"],
    "single_node_dpa_tp": ["--tensor-parallel-size 2", "--data-parallel-size 4", "--enable-expert-parallel"],
    "multi_node_tp": ["--tensor-parallel-size 16", "--nnodes 2", "--master-addr 10.0.0.1"],
    "multi_node_tp_pp": ["--tensor-parallel-size 8", "--pipeline-parallel-size 2", "--nnodes 2"],
    "multi_node_tep": ["--tensor-parallel-size 16", "--enable-expert-parallel", "--nnodes 2"],
    "multi_node_dep": [
        "--data-parallel-size 16",
        "--data-parallel-size-local 8",
        "--data-parallel-address 10.0.0.1",
        "--enable-expert-parallel",
    ],
    # Two replicas of a dense model are two independent servers here, each behind the router.
    "multi_node_tp_dp": ["--tensor-parallel-size 4"],
}


@pytest.mark.parametrize(
    ("engine", "version"), [(e, v) for e, versions in VERSIONS.items() for v in versions]
)
def test_commands_of_real_plans_are_the_golden_ones(engine: str, version: str) -> None:
    assert commands(engine, version) == golden_file(engine, version).read_text()


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_a_plan_passes_what_the_recipe_of_its_strategy_passes(strategy: str) -> None:
    model, spec, request = STRATEGIES[strategy]
    lines = typed(model, spec, engine="vllm", **request)
    for line in lines:
        assert [option for option in RECIPES[strategy] if f" {option} " not in f" {line} "] == []
    assert [" --headless " in line for line in lines] == [False] + [True] * (len(lines) - 1)


def test_each_limit_of_the_plan_is_stated() -> None:
    line = typed(LLAMA_8B, "1x1xH100", max_num_seqs=17, gpu_memory_utilization=0.8, kv_cache_dtype="fp8")[0]
    for option in ("max-model-len 131072", "max-num-seqs 17", "max-num-batched-tokens 8192"):
        assert f"--{option}" in line
    assert "--gpu-memory-utilization 0.8 " in line + " "
    assert "--kv-cache-dtype fp8" in line


def test_gpus_are_named_by_option_where_the_release_has_one() -> None:
    new, old = (VLLM.command(LAUNCH, LEADER, version, "python") for version in ("0.24.0", "0.23.0"))
    assert "--device-ids" in new.argv and "CUDA_VISIBLE_DEVICES" not in new.env
    assert "--device-ids" not in old.argv and old.env["CUDA_VISIBLE_DEVICES"] == "2,3"
    assert new.env["CUDA_DEVICE_ORDER"] == old.env["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_an_inherited_list_of_visible_gpus_is_dropped() -> None:
    """--device-ids counts within CUDA_VISIBLE_DEVICES, which Ray sets for the process that starts servers."""
    for adapter in (VLLM, SGLANG):
        assert any("CUDA_VISIBLE_DEVICES".startswith(prefix) for prefix in adapter.cleans)


@pytest.mark.parametrize("adapter", [VLLM, SGLANG])
def test_the_key_of_the_server_is_in_no_argument(adapter: object) -> None:
    member = LEADER.model_copy(update={"api_key": "sk-secret"})
    command = adapter.command(LAUNCH, member, "0.32.0", "python")  # type: ignore[attr-defined]
    assert "sk-secret" in command.env.values()
    assert not any("sk-secret" in argument for argument in command.argv)
    follower = member.model_copy(update={"number": 1, "num_members": 2})
    assert "sk-secret" not in adapter.command(LAUNCH, follower, "0.32.0", "python").env.values()  # type: ignore[attr-defined]
    assert "sk-secret" not in str(adapter.printed_command(LAUNCH, member, "0.32.0"))  # type: ignore[attr-defined]
    assert "sk-secret" not in repr(member)


def test_uneven_stages_are_passed_by_variable() -> None:
    launch = LAUNCH.model_copy(update={"pp": 2, "layers_per_stage": (41, 39)})
    assert VLLM.command(launch, LEADER, "0.32.0", "python").env["VLLM_PP_LAYER_PARTITION"] == "41,39"
    assert SGLANG.command(launch, LEADER, "0.5.23", "python").env["SGLANG_PP_LAYER_PARTITION"] == "41,39"


def test_on_a_cpu_no_gpu_is_named() -> None:
    launch = LAUNCH.model_copy(update={"device": "cpu"})
    command = VLLM.command(launch, LEADER, "0.32.0+cpu", "python")
    assert "--device-ids" not in command.argv
    assert "CUDA_VISIBLE_DEVICES" not in command.env
    assert command.env["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"


def test_what_the_user_adds_comes_last() -> None:
    launch = LAUNCH.model_copy(update={"max_num_seqs": 4, "extra_args": ("--max-num-seqs", "8")})
    for adapter, version in ((VLLM, "0.32.0"), (SGLANG, "0.5.23")):
        assert adapter.command(launch, LEADER, version, "python").argv[-2:] == ("--max-num-seqs", "8")


def test_the_program_by_release() -> None:
    assert VLLM.command(LAUNCH, LEADER, "0.32.0", "/opt/python").argv[:5] == (
        "/opt/python",
        "-m",
        "vllm.entrypoints.cli.main",
        "serve",
        "/models/tiny",
    )
    old = VLLM.command(LAUNCH, LEADER, "0.7.0", "python").argv
    assert old[1:5] == ("-m", "vllm.entrypoints.openai.api_server", "--model", "/models/tiny")


@pytest.mark.parametrize(
    ("changes", "version", "said"),
    [
        (
            {"num_members": 2},
            "0.10.0",
            "vLLM 0.10.0 has no --nnodes: install vLLM 0.11.1 or newer on the nodes",
        ),
        ({"kv_cache_memory_bytes": 10}, "0.9.0", "has no --kv-cache-memory-bytes"),
        ({"kv_cache_dtype": "bfloat16"}, "0.10.2", "has no --kv-cache-dtype bfloat16"),
        ({"quantization": "bitsandbytes"}, "0.32.0", "no longer takes bitsandbytes"),
        ({"decode_context_parallel": 2}, "0.10.1", "install vLLM 0.10.2 or newer"),
        ({"extra_args": ("--max-num-seqs", "8", "--port=9")}, "0.32.0", "--port is set by clusterview"),
        ({"extra_args": ("--master-port", "7")}, "0.32.0", "--master-port is set by clusterview"),
        ({"extra_args": ("--api-key", "sk")}, "0.32.0", "--api-key is set by clusterview"),
        ({"num_members": 2}, "0.11.1", ""),
        ({"num_members": 2}, "0.11.1rc2.dev11+g123", ""),
        ({"num_members": 2}, "a private build", ""),
    ],
)
def test_vllm_refuses_what_a_release_lacks(changes: dict[str, object], version: str, said: str) -> None:
    member = LEADER.model_copy(update={"num_members": changes.get("num_members", 1)})
    launch = LAUNCH.model_copy(
        update={name: value for name, value in changes.items() if name != "num_members"}
    )
    refusal = VLLM.refusal(launch, (member,), version)
    assert said in refusal if said else refusal == ""


@pytest.mark.parametrize(
    ("changes", "version", "said"),
    [
        ({"pp": 2}, "0.4.6", "SGLang 0.4.6 has no --pp-size: install SGLang 0.4.7 or newer on the nodes"),
        ({"kv_cache_memory_bytes": 10}, "0.5.23", "set --gpu-memory-utilization instead"),
        ({"kv_cache_dtype": "float16"}, "0.5.23", "leave out --kv-cache-dtype"),
        ({"extra_args": ("--tp-size", "2")}, "0.5.23", "--tp-size is set by clusterview"),
        ({"extra_args": ("--page-size", "16"), "pp": 2}, "0.5.23", ""),
    ],
)
def test_sglang_refuses_what_it_lacks(changes: dict[str, object], version: str, said: str) -> None:
    refusal = SGLANG.refusal(LAUNCH.model_copy(update=changes), (LEADER,), version)
    assert said in refusal if said else refusal == ""
