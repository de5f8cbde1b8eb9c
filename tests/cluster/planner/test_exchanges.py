"""Which ranks exchange data, over which links, and what that costs."""

from __future__ import annotations

import pytest

from cluster.planner.exchange_cost import all_reduce_cost, hop_cost
from cluster.planner.exchanges import Exchange, exchanges_of
from cluster.planner.result import Candidate, Plan
from tests.cluster.planner.ask import LLAMA_8B, LLAMA_70B, ask, best

EIGHT = "2x4xA100-80GB"


def layout(answer: Plan, **degrees: int) -> Candidate:
    """Find a feasible layout by its degrees."""
    return next(
        one
        for one in answer.candidates
        if one.feasible and all(getattr(one.layout, name) == degree for name, degree in degrees.items())
    )


def of_kind(found: tuple[Exchange, ...], kind: str) -> list[Exchange]:
    return [one for one in found if one.kind == kind]


def test_every_tensor_parallel_group_all_reduces_inside_its_node() -> None:
    answer = ask(LLAMA_70B, EIGHT)
    candidate = layout(answer, tp=4, pp=1, dp=2)
    found = exchanges_of(candidate, answer.cluster)
    assert [(one.kind, one.replica, one.link, len(one.places)) for one in found.all] == [
        ("all-reduce", 0, "nvlink", 4),
        ("all-reduce", 1, "nvlink", 4),
    ]
    for node in answer.cluster.nodes:
        (own,) = found.of_node(node.node_id)
        assert {place.gpu_uuid for place in own.places} == {gpu.uuid for gpu in node.gpus}
    assert found.of_node("no such node") == ()


def test_stages_hop_rank_by_rank_and_over_the_network_between_nodes() -> None:
    answer = ask(LLAMA_70B, EIGHT, tp=4, pp=2)
    found = exchanges_of(best(answer), answer.cluster)
    hops = of_kind(found.all, "stage hop")
    assert [(one.stage, one.link, [place.rank for place in one.places]) for one in hops] == [
        (0, "network", [rank, rank]) for rank in range(4)
    ]
    assert all(one.places[0].stage + 1 == one.places[1].stage for one in hops)
    assert len(of_kind(found.all, "all-reduce")) == 2
    assert set(found.by_node) == {node.node_id for node in answer.cluster.nodes}
    assert all(len(own) == 5 for own in found.by_node.values())


def test_gpus_without_an_island_exchange_over_pcie_and_single_ranks_exchange_nothing() -> None:
    answer = ask(LLAMA_8B, "1x4xL40S", tp=4)
    assert {one.link for one in exchanges_of(layout(answer, tp=4), answer.cluster).all} == {"pcie"}
    alone = ask(LLAMA_8B, EIGHT)
    assert exchanges_of(layout(alone, tp=1, pp=1), alone.cluster).all == ()


def test_nodes_of_one_nvlink_domain_exchange_over_it() -> None:
    answer = ask(LLAMA_70B, EIGHT, tp=8)
    domain = [node.model_copy(update={"nvlink_domain": "fabric/1"}) for node in answer.cluster.nodes]
    joined = answer.cluster.model_copy(update={"nodes": tuple(domain)})
    candidate = best(answer)
    assert [one.link for one in exchanges_of(candidate, answer.cluster).all] == ["network"]
    assert [one.link for one in exchanges_of(candidate, joined).all] == ["nvlink_domain"]


def test_experts_are_exchanged_among_all_ranks_of_a_stage() -> None:
    answer = ask("deepseek-ai/DeepSeek-V3", "2x8xH200")
    candidates = [one for one in answer.candidates if one.feasible and one.layout.dp_attention]
    assert candidates, "the model's own layout is one with DP attention"
    found = exchanges_of(candidates[0], answer.cluster)
    (group,) = of_kind(found.all, "all-to-all")[:1]
    assert len(group.places) == candidates[0].layout.gpus_per_replica // candidates[0].layout.pp


def test_replicas_that_are_trained_together_exchange_gradients() -> None:
    answer = ask(LLAMA_8B, EIGHT, workload="training")
    candidate = best(answer)
    found = exchanges_of(candidate, answer.cluster, training=True)
    rings = of_kind(found.all, "gradient all-reduce")
    assert len(rings) == candidate.layout.gpus_per_replica
    assert all(len(ring.places) == candidate.layout.num_replicas for ring in rings)


def test_costs_agree_with_the_estimate() -> None:
    answer = ask(LLAMA_70B, EIGHT, tp=4, pp=2, concurrency=8)
    candidate, gpu = best(answer), answer.cluster.nodes[0].gpus[0]
    estimate = candidate.estimate
    assert estimate is not None
    reduces = all_reduce_cost(answer, candidate, "nvlink", gpu)
    assert reduces is not None and reduces.per_token == estimate.all_reduces_per_token > 0
    # A decode step is no longer than the mean time per token, which prompts that are read meanwhile add to.
    assert 0 < reduces.total_s * 0.9 < estimate.all_reduce_share * estimate.tpot_s.value
    assert reduces.message_bytes == pytest.approx(estimate.batch / 2 * 8192 * 2)
    hops = hop_cost(answer, candidate, "network", gpu)
    assert hops is not None and hops.per_token == 1 and hops.link == "network"
    assert hops.each_s > hops.message_bytes / hops.bytes_per_s
    slower = hop_cost(answer, candidate, "pcie", gpu)
    assert slower is not None and slower.link == "pcie"


def test_what_a_layout_does_not_have_costs_nothing() -> None:
    answer = ask(LLAMA_8B, EIGHT)
    candidate, gpu = layout(answer, tp=1, pp=1), answer.cluster.nodes[0].gpus[0]
    assert all_reduce_cost(answer, candidate, "nvlink", gpu) is None
    assert hop_cost(answer, candidate, "nvlink", gpu) is None
