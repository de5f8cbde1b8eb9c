"""What must hold of any estimate: more of a good thing never hurts, and figures agree with each other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.catalog.gpus import find_gpu
from cluster.catalog.models import load_model
from cluster.inventory import MeasuredLink
from cluster.planner.cost import all_reduces_per_token
from cluster.planner.cost.steady_state import Stream
from cluster.planner.layout import Layout, StageRange
from cluster.planner.replica import Rank, RankGpu, ReplicaLinks
from cluster.planner.request import PlanRequest
from cluster.planner.result import Bottleneck
from cluster.planner.search.ranking import meets_limits
from tests.cluster.planner.cost.setups import LLAMA_8B, LLAMA_70B, QWEN_MOE, ask, rate, timed
from tests.evidence.setups import even_replica

LENGTHS = st.integers(1, 20_000)


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.integers(1, 4_000), st.sampled_from([1, 2, 8]), st.sampled_from([1, 4]), st.data())
def test_estimates_are_positive_and_lie_in_their_bands(
    inputs: int, outputs: int, tp: int, pp: int, data: st.DataObject
) -> None:
    model = data.draw(st.sampled_from([LLAMA_8B, QWEN_MOE]))
    concurrency = data.draw(st.none() | st.integers(1, 5_000))
    estimate = ask(
        model, Layout(tp=tp, pp=pp), input_tokens=inputs, output_tokens=outputs, concurrency=concurrency
    )
    for band in (estimate.throughput_tokens_per_s, estimate.ttft_s, estimate.tpot_s):
        assert 0 < band.low <= band.value <= band.high < float("inf")
    assert 0 <= estimate.all_reduce_share < 1
    assert estimate.batch >= 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2_000_000), st.integers(0, 2_000_000), LENGTHS, st.integers(1, 2_000))
def test_more_cache_never_costs_throughput(one: int, other: int, inputs: int, outputs: int) -> None:
    rates = [
        rate(kv_tokens=room, input_tokens=inputs, output_tokens=outputs) for room in sorted((one, other))
    ]
    assert rates[0] <= rates[1] * 1.001


def test_replicas_add_up() -> None:
    assert rate(layout=Layout(tp=4, dp=3)) == pytest.approx(3 * rate(layout=Layout(tp=4)))


def test_concurrency_is_spread_over_the_replicas() -> None:
    spread = rate(layout=Layout(tp=4, dp=4), concurrency=64)
    assert spread == pytest.approx(4 * rate(layout=Layout(tp=4), concurrency=16))
    lonely = rate(layout=Layout(tp=4, dp=4), concurrency=1)
    assert lonely == pytest.approx(rate(layout=Layout(tp=4), concurrency=1))


def test_one_at_a_time_is_prefill_and_then_a_token_a_step() -> None:
    estimate = ask(concurrency=1, input_tokens=2048, output_tokens=256)
    # The time before a request's first step is the client's, not the engine's.
    whole = 256 / estimate.throughput_tokens_per_s.value
    assert 255 * estimate.tpot_s.value < whole < estimate.ttft_s.value + 256 * estimate.tpot_s.value


def test_tensor_parallelism_is_what_speeds_up_a_single_request() -> None:
    speeds = [rate(layout=Layout(tp=tp), concurrency=1) for tp in (1, 2, 4, 8)]
    assert speeds == sorted(speeds)
    assert speeds[3] > 4 * speeds[0]


def test_a_pipeline_does_not_speed_up_a_single_request() -> None:
    alone, piped = (ask(layout=Layout(tp=4, pp=pp), concurrency=1) for pp in (1, 2))
    assert piped.tpot_s.value > alone.tpot_s.value
    assert piped.bottleneck is Bottleneck.PIPELINE_BUBBLES


def test_a_pipeline_fills_with_requests() -> None:
    gains = [rate(layout=Layout(pp=4), concurrency=number) for number in (1, 4, 64)]
    assert gains[1] > 3 * gains[0]
    assert gains[2] > gains[1]


def test_the_slowest_stage_paces_a_pipeline() -> None:
    h100, request = find_gpu("H100"), PlanRequest(concurrency=64)
    gpu = RankGpu(h100.memory_bytes, h100.memory_bytes, h100)
    even = even_replica(load_model(LLAMA_70B), Layout(tp=4, pp=2), gpu, request)

    def speed(cut: int) -> float:
        stages = (StageRange(0, 0, cut, True, False), StageRange(1, cut, 80, False, True))
        ranks = tuple(Rank(stage, gpu) for stage in stages)
        found = timed(replace(even, ranks=ranks, links=ReplicaLinks("nvlink")), request)
        return found.throughput_tokens_per_s.value

    assert speed(20) < 0.8 * speed(40)


def test_all_reduces_of_a_token() -> None:
    model = load_model(LLAMA_70B)
    assert all_reduces_per_token(model, Layout(tp=4)) == 160
    assert all_reduces_per_token(model, Layout(tp=1, pp=4)) == 0


def test_a_tensor_group_over_the_network_is_slower_than_over_nvlink() -> None:
    near, far = (
        rate(layout=Layout(tp=8), links=ReplicaLinks(tp_link=link)) for link in ("nvlink", "network")
    )
    assert far < near / 2


def test_a_slow_link_measured_on_the_cluster_counts() -> None:
    slow = MeasuredLink(scope="node", num_ranks=4, latency_s=5e-3, bandwidth_bytes_per_s=1e9)
    estimate = ask(links=ReplicaLinks("nvlink", measured=(slow,)), concurrency=1)
    assert estimate.bottleneck == "all-reduce"
    assert estimate.tpot_s.value > 160 * 5e-3


def test_the_batch_is_the_largest_that_keeps_a_limit_on_tpot() -> None:
    free, held = ask(layout=Layout(tp=8)), ask(layout=Layout(tp=8), tpot_s=0.03)
    assert free.tpot_s.value > 0.03
    assert 0.029 < held.tpot_s.value <= 0.03
    assert held.batch < free.batch
    assert meets_limits(held, PlanRequest(tpot_s=0.03))


def test_a_limit_nobody_can_keep_is_said_to_be_missed() -> None:
    request = PlanRequest(ttft_s=1e-3)
    assert not meets_limits(ask(ttft_s=1e-3), request)


def test_requests_beyond_the_batch_wait() -> None:
    some, many = (ask(concurrency=number, kv_tokens=50_000) for number in (8, 2_000))
    assert many.ttft_s.value > 10 * some.ttft_s.value
    # Little's law: the number in flight is the rate times the whole time.
    served_per_s = many.throughput_tokens_per_s.value / 512
    assert 2_000 / served_per_s == pytest.approx(many.ttft_s.value + 512 * many.tpot_s.value, rel=0.1)


def test_attention_dp_suits_a_latent_cache_at_full_batch() -> None:
    model = "deepseek-ai/DeepSeek-V3"
    shared = Layout(tp=1, dp=8, ep=8, dp_attention=True)
    # The same memory on every GPU holds eight times the tokens when no rank repeats another's latents.
    together = rate(model_name=model, layout=shared, gpu_type="H200", kv_tokens=8 * 300_000)
    repeated = rate(model_name=model, layout=Layout(tp=8), gpu_type="H200", kv_tokens=300_000)
    assert together > 1.2 * repeated


def test_only_experts_that_were_picked_are_read() -> None:
    alone = ask(QWEN_MOE, Layout(), concurrency=1, input_tokens=16, output_tokens=512)
    dense_bytes = 61e9  # all experts, 16 bits
    assert alone.tpot_s.value < 0.5 * dense_bytes / 3.35e12


def test_a_queue_is_as_long_for_every_replica() -> None:
    one = ask(layout=Layout(tp=4), concurrency=2_000, kv_tokens=50_000)
    four = ask(layout=Layout(tp=4, dp=4), concurrency=8_000, kv_tokens=50_000)
    assert four.ttft_s.value == pytest.approx(one.ttft_s.value)


def test_stages_on_other_nodes_are_further_away() -> None:
    near, far = (
        ask(
            layout=Layout(tp=4, pp=2),
            concurrency=1,
            links=ReplicaLinks("nvlink", pp_crosses_node=crosses),
        )
        for crosses in (False, True)
    )
    assert far.tpot_s.value > near.tpot_s.value


def test_long_prompts_are_read_in_chunks() -> None:
    stream = Stream(input_tokens=6_000, output_tokens=10, token_budget=2_000)
    assert (stream.chunk_tokens, stream.chunks, stream.steps) == (2_000, 3, 12)
    short = Stream(input_tokens=500, output_tokens=1, token_budget=2_000)
    assert (short.chunk_tokens, short.chunks, short.steps) == (500, 1, 1)


def test_a_prompt_alone_takes_its_matrix_products_at_least() -> None:
    estimate = ask(LLAMA_8B, Layout(), concurrency=1, input_tokens=8_000, output_tokens=1)
    least_s = 2 * 7.5e9 * 8_000 / 989.4e12
    assert least_s < 1 / estimate.throughput_tokens_per_s.value < 3 * least_s
