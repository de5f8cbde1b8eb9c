"""Tensor-parallel groups over islands and nodes: never unasked, judged with their links when asked for."""

from __future__ import annotations

from collections import Counter

import pytest

from cluster.cluster_spec import parse_cluster_spec
from cluster.inventory import Cluster
from cluster.planner.result import Bottleneck, Candidate, Plan
from cluster.planner.rule import Rule
from tests.cluster.planner.ask import GIB, LLAMA_8B, LLAMA_70B, LLAMA_405B, ask, best, gpu_of, with_gpu
from tests.cluster.planner.placement.test_ranks import assert_sound, groups, islands_of_two

DEEPSEEK = "deepseek-ai/DeepSeek-R1"


def gpus_by_node(candidate: Candidate, attention_rank: int = 0) -> list[int]:
    """GPUs that a group of the first replica's first stage has of each of its nodes."""
    return sorted(Counter(node for node, _ in groups(candidate)[0, 0, attention_rank]).values())


def crossing_note(candidate: Candidate) -> str:
    (note,) = (note for note in candidate.notes if "all-reduces" in note)
    return note


def test_a_published_layout_over_two_nodes_is_judged() -> None:
    """SGLang's documentation runs DeepSeek-R1 on two nodes of eight H100 with --tp 16."""
    choice = best(ask(DEEPSEEK, "2x8xH100", tp=16, engine="sglang"))
    assert (choice.label, gpus_by_node(choice)) == ("TP=16", [8, 8])
    assert choice.estimate is not None and choice.estimate.bottleneck is Bottleneck.ALL_REDUCE
    note = crossing_note(choice)
    assert "across nodes at every layer" in note and "TP=8 x PP=2 keeps all-reduces on NVLink" in note
    assert f"{choice.estimate.all_reduce_share:.0%} of each decode step" in note


def test_stages_of_wide_groups() -> None:
    choice = best(ask(DEEPSEEK, "4x8xH100", tp=16, pp=2, engine="sglang"))
    assert choice.label == "TP=16, PP=2"
    stages = [{node for node, _ in groups(choice)[0, stage, 0]} for stage in (0, 1)]
    assert stages == [{"node-1", "node-2"}, {"node-3", "node-4"}]


@pytest.mark.parametrize(
    ("spec", "tp", "nodes"),
    [
        ("2x4xA100-80GB", 8, [4, 4]),
        ("2x4xL40S", 8, [4, 4]),
        ("3x6xA100-80GB", 8, [4, 4]),  # equally many of each node, as engines start them
        ("1x4xA100-80GB,2x2xA100-80GB", 8, [2, 2, 4]),
        ("1x4xA100-80GB,1x4xL40S,1x4xA100-80GB", 8, [4, 4]),
        ("4x1xA100-80GB", 4, [1, 1, 1, 1]),
    ],
)
def test_nodes_are_joined_where_none_is_wide_enough(spec: str, tp: int, nodes: list[int]) -> None:
    cluster = parse_cluster_spec(spec)
    answer = ask(LLAMA_70B, cluster, tp=tp)
    choice = best(answer)
    assert_sound(answer)
    assert gpus_by_node(choice) == nodes
    assert {gpu_of(cluster, rank.node, rank.gpu_index)[1].type for rank in choice.placement} < {
        "A100-80GB",
        "L40S",
    }
    assert "across nodes" in crossing_note(choice)


def test_islands_are_joined_before_nodes_are() -> None:
    one = islands_of_two()
    twin = one.nodes[0].model_copy(update={"node_id": "node-2", "name": "node-2"})
    cluster = one.model_copy(update={"nodes": (*one.nodes, twin)})
    for asked in (one, cluster):
        choice = best(ask(LLAMA_70B, asked, tp=4))
        assert gpus_by_node(choice) == [4]
        assert "between NVLink islands, over PCIe" in crossing_note(choice)
    assert gpus_by_node(best(ask(LLAMA_70B, cluster, tp=8))) == [4, 4]


def test_a_slower_link_costs_time() -> None:
    on_nvlink, on_pcie, on_network = (
        best(ask(LLAMA_70B, cluster, tp=4, dp=1)).estimate
        for cluster in ("4xA100-80GB", islands_of_two(), "4x1xA100-80GB")
    )
    assert on_nvlink is not None and on_pcie is not None and on_network is not None
    assert on_nvlink.tpot_s.value < on_pcie.tpot_s.value and on_nvlink.tpot_s.value < on_network.tpot_s.value
    assert on_nvlink.ttft_s.value < on_pcie.ttft_s.value and on_nvlink.ttft_s.value < on_network.ttft_s.value


def test_a_group_that_fits_a_node_stays_in_it() -> None:
    """Wide memory elsewhere is no reason to cross what the user did not ask to cross."""
    choice = best(ask(LLAMA_70B, "1x8xH100,2x4xA100-80GB", tp=8))
    assert {rank.node for rank in choice.placement} == {"node-1"} and not choice.notes
    # L4s are wide enough and too small; only then are the A100s joined.
    choice = best(ask(LLAMA_70B, "1x8xL4,2x4xA100-80GB", tp=8))
    assert {rank.node for rank in choice.placement} == {"node-2", "node-3"}


def test_gpus_of_two_types_are_not_joined() -> None:
    rejection = ask(LLAMA_70B, "1x4xA100-80GB,1x4xL40S", tp=8).candidates[0].rejections[0]
    assert rejection.rule == Rule.MIXED_GPUS and "4 A100-80GB, 4 L40S" in rejection.message


def test_slices_are_not_joined() -> None:
    cluster = parse_cluster_spec("2x4xA100-80GB")
    for node in (0, 1):
        for index in range(4):
            changes = {"mig_parent_uuid": "GPU-parent", "memory_total_bytes": 40 * GIB, "nvlink_island": None}
            cluster = with_gpu(cluster, node, index, memory_free_bytes=40 * GIB, **changes)
    rejection = ask(LLAMA_8B, cluster, tp=4).candidates[0].rejections[0]
    assert rejection.rule == Rule.CROSSES_ISLAND and "slices" in rejection.message


def test_the_reasons_of_a_wide_group_are_true() -> None:
    answer = ask(LLAMA_70B, "2x4xA100-80GB", tp=8)
    pinned = answer.decision[-1]
    assert (pinned.question, pinned.answer) == ("Is TP=8 feasible?", "YES")
    assert "every layer all-reduces across nodes" in pinned.because and "TP=4, DP=2" in pinned.because
    tensor = next(column for column in answer.comparison if column.strategy == "Tensor parallel")
    assert tensor.layout.tp == 8
    rows = dict(tensor.rows)
    assert "does not run" not in rows["Latency"] and "160 all-reduces per token" in rows["Communication"]


def tensor_groups_of(answer: Plan, cluster: Cluster) -> list[set[str | None]]:
    """The NVLink reach of each group: nodes, or the NVLink domain that joins them."""
    return [
        {gpu_of(cluster, node, index)[0].nvlink_domain or node for node, index in members}
        for candidate in answer.candidates
        if candidate.feasible
        for members in groups(candidate).values()
    ]


@pytest.mark.parametrize("model", [LLAMA_405B, DEEPSEEK])
@pytest.mark.parametrize("spec", ["4x8xH100", "3x6xH100", "36x4xGB200"])
def test_no_group_crosses_nodes_unasked(model: str, spec: str) -> None:
    """Neither do those whose attention replicas share experts over nodes."""
    cluster = parse_cluster_spec(spec)
    for group in tensor_groups_of(ask(model, cluster, engine="sglang"), cluster):
        assert len(group) == 1


def test_wide_groups_that_share_experts_are_whole() -> None:
    choice = best(ask(DEEPSEEK, "4x8xH100", tp=16, ep=32, engine="sglang"))
    assert choice.label == "TP=16, DP=2, EP=32, DP-attention"
    assert [gpus_by_node(choice, attention_rank) for attention_rank in (0, 1)] == [[8, 8], [8, 8]]
    assert {rank.replica for rank in choice.placement} == {0} and choice.layout.num_replicas == 1
