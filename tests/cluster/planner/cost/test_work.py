"""A stage's work is the model's: the same bytes as the memory model, twice the active parameters in FLOPs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.catalog.engine_catalog import load_engine
from cluster.catalog.gpus import find_gpu
from cluster.catalog.models import load_model
from cluster.planner.cost import link_for
from cluster.planner.cost.rates import rates_of
from cluster.planner.cost.roofline import Group, Load, stage_time
from cluster.planner.cost.stage_sums import stage_work
from cluster.planner.cost.work import StageWork, work_key
from cluster.planner.layout import Layout
from cluster.planner.memory.weights import stage_weights_bytes
from cluster.planner.replica import ReplicaLinks
from tests.cluster.planner.cost.setups import LLAMA_70B, QWEN_MOE
from tests.evidence.setups import even_stages

HYBRID = "Qwen/Qwen3-Next-80B-A3B-Instruct"
NATIVE = frozenset({"bf16", "fp16", "fp8"})


def works(name: str, tp: int = 1, pp: int = 1, expert_ranks: int = 1) -> list[StageWork]:
    model = load_model(name)
    stages = even_stages(model.num_layers, pp)
    return [stage_work(model, work_key(stage, tp, expert_ranks, 2.0, NATIVE)) for stage in stages]


def weight_bytes(work: StageWork) -> float:
    dense = sum(part.weight_bytes for part in (*work.dense, *work.head))
    return dense + sum(part.experts * part.bytes_per_expert for part in work.experts)


@pytest.mark.parametrize("name", [LLAMA_70B, QWEN_MOE])
@pytest.mark.parametrize(("tp", "pp"), [(1, 1), (4, 1), (2, 4)])
def test_a_stage_reads_the_weights_that_it_stores(name: str, tp: int, pp: int) -> None:
    model, engine = load_model(name), load_engine("vllm")
    for stage, work in zip(even_stages(model.num_layers, pp), works(name, tp, pp), strict=True):
        stored = stage_weights_bytes(model, Layout(tp=tp, pp=pp), stage, engine)
        embedding = model.embedding.size_bytes / tp if stage.is_first else 0.0
        # The embedding is looked up, not read; norms and rotary tables are not matrix products.
        assert weight_bytes(work) == pytest.approx(stored - embedding, rel=0.01)


@pytest.mark.parametrize("name", [LLAMA_70B, QWEN_MOE])
def test_a_token_costs_two_flops_an_active_parameter(name: str) -> None:
    model = load_model(name)
    (work,) = works(name)
    flops = sum(part.flops_per_token for part in (*work.dense, *work.head, *work.experts))
    assert flops == pytest.approx(2 * (model.active_parameters - model.embedding.parameters), rel=0.02)


def test_tensor_parallelism_divides_bytes_flops_and_cache() -> None:
    (whole,), (quarter,) = works(LLAMA_70B), works(LLAMA_70B, tp=4)
    assert weight_bytes(quarter) == pytest.approx(weight_bytes(whole) / 4, rel=0.01)
    assert quarter.caches[0].bytes_per_key == whole.caches[0].bytes_per_key / 4
    assert (whole.all_reduces, quarter.all_reduces) == (0, 161)  # two a layer, one after the embedding


def test_kv_heads_beyond_their_number_are_copied() -> None:
    (eight,), (sixteen,) = works(LLAMA_70B, tp=8), works(LLAMA_70B, tp=16)
    assert sixteen.caches[0].bytes_per_key == eight.caches[0].bytes_per_key


def test_expert_parallelism_divides_experts_not_their_insides() -> None:
    (split,), (spread,) = works(QWEN_MOE, tp=4), works(QWEN_MOE, tp=4, expert_ranks=4)
    assert [part.experts for part in split.experts] == [128]
    assert [part.experts for part in spread.experts] == [32]
    flops = [sum(part.flops_per_token for part in work.experts) for work in (split, spread)]
    assert flops[0] == pytest.approx(flops[1])


def test_a_latent_cache_is_multiplied_whole_by_every_head() -> None:
    (work,) = works("deepseek-ai/DeepSeek-V3", tp=8)
    (cache,) = work.caches
    assert cache.bytes_per_key == 61 * 576 * 2.0
    assert cache.flops_per_key == 61 * 2 * 16 * 2 * 576


def test_a_recurrent_state_is_read_and_written_for_every_token() -> None:
    (work,) = works(HYBRID)
    assert work.state_bytes > 0
    gpu, engine = find_gpu("H100"), load_engine("vllm")
    rates, load = rates_of(gpu, engine), Load(sequences=64, context=1024)
    group = Group(tp=1, tp_link=link_for("none", 1, gpu, ReplicaLinks()))
    without = stage_time(replace(work, state_bytes=0.0), load, group, rates)
    more_s = stage_time(work, load, group, rates).total_s - without.total_s
    assert more_s == pytest.approx(64 * work.state_bytes / rates.plain_bytes_per_s)
