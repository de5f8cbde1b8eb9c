"""Every option of a deployment is honored, refused or said: none is dropped in silence."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from cluster.catalog.models import load_model
from cluster.cluster_spec import parse_cluster_spec
from cluster.deploy.order import OrderTerms, check_request, make_order
from cluster.deploy.order.request_check import planned_only
from cluster.deploy.spec import DeploymentSpec
from cluster.errors import BadInput
from cluster.planner.plan import plan
from cluster.planner.request import PlanRequest
from cluster.planner.result import Plan
from tui.workload import form_values, request_from_form

CARRIED_OUT = {"tp", "pp", "dp", "ep", "max_model_len", "max_num_seqs", "gpu_memory_utilization", "dtype"}
CARRIED_OUT |= {"enforce_eager", "kv_cache_memory_bytes", "load_format"}
CHOOSES_THE_LAYOUT = {"input_tokens", "output_tokens", "concurrency", "objective", "ttft_s", "tpot_s", "top"}
CHOOSES_THE_LAYOUT |= {"no_calibration"}
REFUSED: dict[str, tuple[Any, str]] = {
    "engine": ("tensorrt-llm", "tensorrt-llm can be planned for but not deployed"),
    "engine_version": ("0.11.0", "not 0.11.0"),
    "workload": ("training", "training can be planned but not deployed"),
}
PLANNED_ONLY: dict[str, tuple[Any, str]] = {
    "quantization": ("fp8", "--quantization fp8"),
    "kv_cache_dtype": ("fp8", "--kv-cache-dtype fp8"),
    "decode_context_parallel": (2, "--decode-context-parallel-size 2"),
    "max_num_batched_tokens": (8192, "--max-num-batched-tokens 8192"),
}


def test_somebody_decided_for_every_option() -> None:
    """An option that is added must be put into one of these groups, and then tested as one of them."""
    decided = CARRIED_OUT | CHOOSES_THE_LAYOUT | set(REFUSED) | set(PLANNED_ONLY) | {"engine_asked"}
    assert {field.name for field in fields(PlanRequest)} == decided


@pytest.mark.parametrize("simulated", [True, False])
@pytest.mark.parametrize("name", REFUSED)
def test_refused_everywhere(name: str, simulated: bool) -> None:
    value, told = REFUSED[name]
    with pytest.raises(BadInput, match=told) as refused:
        check_request(
            PlanRequest(engine_asked=True, **{"engine": "builtin", name: value}), simulated=simulated
        )
    assert refused.value.hint


@pytest.mark.parametrize("name", PLANNED_ONLY)
def test_refused_on_real_gpus_and_said_on_simulated_ones(name: str) -> None:
    value, told = PLANNED_ONLY[name]
    request = PlanRequest(engine="builtin", **{name: value})
    with pytest.raises(BadInput, match=told) as refused:
        check_request(request, simulated=False)
    assert "--dry-run" in refused.value.hint
    check_request(request, simulated=True)
    check_request(PlanRequest(**{name: value}), simulated=False)  # the engine's own server carries it out
    assert told in planned_only(request, "fp32")[0]


def test_more_memory_than_the_engine_takes_is_refused() -> None:
    check_request(PlanRequest(engine="builtin", gpu_memory_utilization=0.5), simulated=False)
    with pytest.raises(BadInput, match=r"--gpu-memory-utilization 0.97 \(maximum 0.9\)"):
        check_request(PlanRequest(engine="builtin", gpu_memory_utilization=0.97), simulated=False)
    check_request(PlanRequest(gpu_memory_utilization=0.97), simulated=False)


def test_what_the_engine_does_anyway_may_be_asked_for() -> None:
    request = PlanRequest(
        engine="builtin",
        enforce_eager=True,
        kv_cache_dtype="bf16",
        max_num_batched_tokens=512,
        quantization="auto",
    )
    check_request(request, simulated=False)
    check_request(request, simulated=False, dtype="bf16")
    with pytest.raises(BadInput, match="--kv-cache-dtype bf16"):
        check_request(request, simulated=False, dtype="fp16")


def test_an_engine_chosen_in_the_form_is_a_wish() -> None:
    base = PlanRequest()
    assert not request_from_form(form_values(base), base).engine_asked
    assert request_from_form({**form_values(base), "engine": "sglang"}, base).engine_asked


def planned(simulated: bool = False, **request: Any) -> Plan:
    cluster = parse_cluster_spec("1x2xA100-80GB", "simulated" if simulated else "spec")
    asked = PlanRequest(**{"engine": "builtin", "tp": 1, "pp": 1, "load_format": "dummy", **request})
    return plan(cluster, load_model("llama-3.1-8b", asked.dtype), asked)


def ordered(simulated: bool = False, **request: Any) -> DeploymentSpec:
    answer = planned(simulated, **request)
    assert answer.recommended is not None
    return make_order(answer, answer.recommended, OrderTerms(created_at_s=0.0))


def test_an_order_says_what_differs_from_what_was_asked() -> None:
    spec = ordered(max_model_len=8192, max_num_seqs=500)
    assert spec.max_model_len == 8192 and spec.max_num_seqs < 500
    assert spec.remarks == (f"{spec.max_num_seqs:,} sequences run at once (requested: 500)",)
    scaled = ordered(simulated=True, max_model_len=8192, max_num_seqs=500)
    assert scaled.remarks[0] == "the maximum sequence length is 2,048 tokens (requested: 8,192)"


def test_a_length_that_was_not_asked_for_is_said() -> None:
    (remark,) = ordered().remarks
    assert remark.startswith("the maximum sequence length is 4,096 tokens (the model supports 131,072; ")
    assert "--max-model-len" in remark


def test_a_stand_in_says_what_only_the_plan_takes_into_account() -> None:
    spec = ordered(simulated=True, engine="vllm", kv_cache_dtype="fp8", dtype="fp16", max_model_len=1024)
    assert spec.remarks == (
        "the stand-in computes in fp32 (requested: fp16)",
        "the plan uses --kv-cache-dtype fp8; the stand-in does not",
    )
    asked = ordered(simulated=True, engine="vllm", engine_asked=True, max_model_len=1024)
    assert asked.remarks == ("a simulated cluster has no GPUs for vllm: the built-in engine runs a stand-in",)


def test_the_size_of_the_cache_holds_and_a_smaller_one_is_said() -> None:
    spec = ordered(kv_cache_memory_bytes=2**30, max_model_len=4096)
    assert spec.max_num_seqs == 2 and spec.remarks == ()  # 0.5 GiB a sequence
    (remark,) = ordered(kv_cache_memory_bytes=40 * 2**30, max_model_len=4096).remarks
    assert remark.startswith("the KV cache takes 8.0 GiB per GPU (requested: 40.0 GiB)")


def test_which_engine_runs_and_which_was_planned_for_is_in_the_order() -> None:
    answer = planned(simulated=True, engine="vllm")
    assert answer.recommended is not None
    engine = make_order(answer, answer.recommended, OrderTerms(created_at_s=0.0)).engine
    assert engine.name == "builtin" and engine.version and not engine.is_as_planned
    assert engine.planned_for == f"vllm {answer.engine_version}"
    assert engine.text == f"builtin {engine.version}, planned for vllm {answer.engine_version}"
    own = ordered(engine="builtin").engine
    assert own.is_as_planned and own.text == f"builtin {own.version}"
