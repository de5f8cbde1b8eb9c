"""Ranks on named GPUs: who gets which, and who is left alone."""

from __future__ import annotations

from collections import defaultdict

import pytest

from cluster.cluster_spec import parse_cluster_spec
from cluster.inventory import Cluster, GpuProcess
from cluster.planner.fixes.fix import Fix, FreeMemory
from cluster.planner.layout import Layout
from cluster.planner.result import Candidate, Plan
from cluster.planner.rule import Rule
from tests.cluster.planner.ask import GIB, LLAMA_8B, LLAMA_70B, LLAMA_405B, ask, best, gpu_of, with_gpu


def used(candidate: Candidate) -> set[tuple[str, int]]:
    return {(rank.node, rank.gpu_index) for rank in candidate.placement}


def groups(candidate: Candidate) -> dict[tuple[int, int, int], list[tuple[str, int]]]:
    found = defaultdict(list)
    for rank in candidate.placement:
        attention_rank = rank.rank // candidate.layout.tp
        found[rank.replica, rank.stage, attention_rank].append((rank.node, rank.gpu_index))
    return found


def assert_sound(answer: Plan) -> None:
    for candidate in answer.candidates:
        if not candidate.feasible:
            continue
        placement = list(candidate.placement)
        assert len(placement) == candidate.layout.gpus == len(candidate.placement)
        assert len({rank.gpu_uuid for rank in placement}) == len(placement)
        order = [(rank.replica, rank.stage, rank.rank) for rank in placement]
        assert order == sorted(order)


@pytest.mark.parametrize(
    "spec", ["2x4xA100-80GB", "8xL40S", "3x8xH100", "2x4xA100-80GB,1x8xL4", "18x4xGB200"]
)
@pytest.mark.parametrize("model", [LLAMA_8B, LLAMA_405B])
def test_no_gpu_is_used_twice(model: str, spec: str) -> None:
    assert_sound(ask(model, spec))


def test_a_tensor_group_stays_on_one_node() -> None:
    answer = ask(LLAMA_70B, "2x4xA100-80GB")
    for members in groups(best(answer)).values():
        assert len({node for node, _ in members}) == 1


def test_wider_groups_than_a_node_are_passed_over_unless_asked_for() -> None:
    refused = next(one for one in ask(LLAMA_70B, "2x4xA100-80GB").candidates if one.layout.tp == 8)
    (rejection,) = refused.rejections
    assert (rejection.rule, rejection.fixes) == (
        Rule.CROSSES_NODE,
        (Fix(layout=Layout(tp=4)), Fix(layout=Layout(tp=4, pp=2))),
    )


def islands_of_two() -> Cluster:
    cluster = parse_cluster_spec("4xA100-80GB")
    for index in range(4):
        cluster = with_gpu(cluster, 0, index, nvlink_island=f"nvlink-{index // 2}")
    return cluster


def test_a_tensor_group_crosses_no_island_unasked() -> None:
    cluster = islands_of_two()
    for candidate in ask(LLAMA_70B, cluster).candidates:
        for members in groups(candidate).values():
            assert len({gpu_of(cluster, *member)[1].nvlink_island for member in members}) == 1


def test_unhealthy_and_claimed_gpus_are_left_out() -> None:
    cluster = parse_cluster_spec("4xA100-80GB")
    cluster = with_gpu(cluster, 0, 1, unhealthy_reason="XID 79")
    cluster = with_gpu(cluster, 0, 2, claimed_by="chat")
    answer = ask(LLAMA_8B, cluster)
    assert used(best(answer)) == {("node-1", 0), ("node-1", 3)}
    rejection = ask(LLAMA_70B, cluster, tp=4).candidates[0].rejections[0]
    assert rejection.rule == Rule.GPU_UNHEALTHY and "XID 79" in rejection.message


def test_a_partly_used_gpu_is_used_with_what_it_has() -> None:
    cluster = parse_cluster_spec("2xA100-80GB")
    process = GpuProcess(pid=4711, name="python", memory_bytes=30 * GIB)
    cluster = with_gpu(cluster, 0, 1, memory_free_bytes=50 * GIB, processes=(process,))
    choice = best(ask("meta-llama/Llama-2-7b-hf", cluster))
    assert choice.label == "DP=2"
    assert any("--gpu-memory-utilization 0." in note and "pid 4711" in note for note in choice.notes)
    assert choice.memory_per_gpu is not None and choice.memory_per_gpu.budget_bytes <= 50 * GIB


def test_a_full_gpu_is_passed_by() -> None:
    cluster = with_gpu(parse_cluster_spec("4xA100-80GB"), 0, 0, memory_free_bytes=2 * GIB)
    assert used(best(ask(LLAMA_8B, cluster))) == {("node-1", 1), ("node-1", 2), ("node-1", 3)}


def test_a_busy_gpu_is_named_with_its_process() -> None:
    process = GpuProcess(pid=4711, name="python", memory_bytes=60 * GIB)
    cluster = parse_cluster_spec("4xA100-80GB")
    cluster = with_gpu(cluster, 0, 3, memory_free_bytes=20 * GIB, processes=(process,))
    answer = ask(LLAMA_70B, cluster, tp=4)
    rejection = answer.candidates[0].rejections[0]
    assert rejection.rule == Rule.GPU_BUSY
    assert "node-1 GPU 3" in rejection.message and "GiB more" in rejection.message
    memory = rejection.fixes[0].hardware
    assert isinstance(memory, FreeMemory)
    assert [(gpu.gpu_index, gpu.processes) for gpu in memory.gpus] == [(3, (process,))]


def test_one_replica_more_is_told_with_what_stands_in_its_way() -> None:
    process = GpuProcess(pid=4711, name="python", memory_bytes=34 * GIB)
    cluster = parse_cluster_spec("2x4xA100-80GB")
    cluster = with_gpu(cluster, 1, 3, memory_free_bytes=45 * GIB, processes=(process,))
    for pins in ({"tp": 4, "pp": 1}, {"tp": 4, "pp": 1, "dp": 2}):
        answer = ask(LLAMA_70B, cluster, **pins)
        refused = next(candidate for candidate in answer.candidates if not candidate.feasible)
        (rejection,) = refused.rejections
        assert (refused.label, rejection.rule) == ("TP=4, DP=2", Rule.GPU_BUSY)
        assert "GiB more on node-2 GPU 3" in rejection.message
        freed, shorter, packed, *_ = rejection.fixes
        assert isinstance(freed.hardware, FreeMemory)
        assert [(gpu.node_name, gpu.gpu_index, gpu.processes) for gpu in freed.hardware.gpus] == [
            ("node-2", 3, (process,))
        ]
        assert "max_model_len" in dict(shorter.options) and packed == Fix.of(kv_cache_dtype="fp8")


def test_slices_of_a_gpu_never_form_a_group() -> None:
    cluster = parse_cluster_spec("4xA100-80GB")
    for index in range(4):
        changes = {"mig_parent_uuid": "GPU-parent", "memory_total_bytes": 40 * GIB, "nvlink_island": None}
        cluster = with_gpu(cluster, 0, index, memory_free_bytes=40 * GIB, **changes)
    answer = ask(LLAMA_8B, cluster, max_model_len=8192)
    assert best(answer).label == "DP=4"
    assert all(
        candidate.layout.gpus_per_replica == 1 for candidate in answer.candidates if candidate.feasible
    )


def test_a_tensor_group_is_of_one_gpu_type() -> None:
    cluster = parse_cluster_spec("1x4xA100-80GB,1x4xL40S")
    merged = cluster.nodes[1].gpus
    gpus = cluster.nodes[0].gpus + tuple(
        gpu.model_copy(update={"index": gpu.index + 4, "uuid": f"x{gpu.index}"}) for gpu in merged
    )
    one_node = cluster.model_copy(update={"nodes": (cluster.nodes[0].model_copy(update={"gpus": gpus}),)})
    for candidate in ask(LLAMA_8B, one_node).candidates:
        for members in groups(candidate).values():
            assert len({gpu_of(one_node, *member)[1].type for member in members}) == 1
    assert ask(LLAMA_70B, one_node, tp=8).candidates[0].rejections[0].rule in (
        Rule.MIXED_GPUS,
        Rule.CROSSES_ISLAND,
    )


def test_nvlink_over_nodes_carries_a_tensor_group() -> None:
    choice = ask(LLAMA_405B, "18x4xGB200", tp=8)
    members = groups(best(choice))[0, 0, 0]
    assert len({node for node, _ in members}) == 2


def test_pipeline_stages_over_nodes_take_whole_nodes() -> None:
    choice = best(ask(LLAMA_405B, "4x8xH100"))
    for replica in range(choice.layout.dp):
        nodes = {rank.node for rank in choice.placement if rank.replica == replica}
        others = {rank.node for rank in choice.placement if rank.replica != replica}
        assert not nodes & others


def test_a_gpu_whose_free_memory_was_not_read_is_left_alone() -> None:
    cluster = with_gpu(parse_cluster_spec("4xA100-80GB"), 0, 2, memory_free_bytes=None)
    answer = ask(LLAMA_8B, cluster)
    assert best(answer).label == "DP=3"
    assert ("node-1", 2) not in used(best(answer))
