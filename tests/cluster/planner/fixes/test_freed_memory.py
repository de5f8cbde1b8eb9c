"""What to stop or free where others hold the memory that a layout lacks."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.cluster_spec import parse_cluster_spec
from cluster.inventory import Cluster, GpuProcess
from cluster.planner.fixes.fix import FreeMemory
from tests.cluster.planner.ask import GIB, LLAMA_8B, LLAMA_70B, ask, with_gpu
from tests.cluster.planner.fixes.follow import fixes_by_label

QWEN_7B = "Qwen/Qwen2.5-7B-Instruct"


def held(cluster: Cluster, node: int, gpu: int, pid: int, gib: int) -> Cluster:
    now = cluster.nodes[node].gpus[gpu]
    process = GpuProcess(pid=pid, name="python", memory_bytes=gib * GIB)
    free = (now.memory_free_bytes or 0) - gib * GIB
    return with_gpu(cluster, node, gpu, memory_free_bytes=free, processes=(*now.processes, process))


def without(cluster: Cluster, pids: set[int]) -> Cluster:
    """The cluster after these processes were stopped."""
    for number, node in enumerate(cluster.nodes):
        for index, gpu in enumerate(node.gpus):
            stopped = [one for one in gpu.processes if one.pid in pids]
            if stopped:
                freed = sum(one.memory_bytes or 0 for one in stopped)
                left = tuple(one for one in gpu.processes if one.pid not in pids)
                changes = {"memory_free_bytes": (gpu.memory_free_bytes or 0) + freed, "processes": left}
                cluster = with_gpu(cluster, number, index, **changes)
    return cluster


@settings(max_examples=40, deadline=None)
@given(
    used=st.lists(st.sampled_from([0, 0, 5, 20, 40, 60, 75]), min_size=4, max_size=4),
    model=st.sampled_from([LLAMA_8B, LLAMA_70B, QWEN_7B]),
    tp=st.sampled_from([None, 1, 2, 4]),
    fraction=st.sampled_from([None, None, 0.9]),
)
def test_stopping_what_is_named_makes_room(
    used: list[int], model: str, tp: int | None, fraction: float | None
) -> None:
    cluster = parse_cluster_spec("4xA100-80GB")
    for gpu, gib in enumerate(used):
        for part in range(2 if gib else 0):
            cluster = held(cluster, 0, gpu, pid=100 * gpu + part + 1, gib=gib // 2)
    answer = ask(model, cluster, tp=tp, gpu_memory_utilization=fraction)
    for refused in answer.candidates:
        for rejection in refused.rejections:
            for fix in rejection.fixes:
                if isinstance(fix.hardware, FreeMemory) and all(gpu.processes for gpu in fix.hardware.gpus):
                    pids = {process.pid for gpu in fix.hardware.gpus for process in gpu.processes}
                    layout = fix.layout or refused.layout
                    pins = {"tp": layout.tp, "pp": layout.pp}
                    again = ask(model, without(cluster, pids), gpu_memory_utilization=fraction, **pins)
                    assert again.recommended is not None, (refused.label, rejection)


def test_every_gpu_in_the_way_is_named() -> None:
    cluster = parse_cluster_spec("4xA100-80GB")
    for gpu in range(4):
        cluster = held(cluster, 0, gpu, 4700 + gpu, 60)
    memory = fixes_by_label(ask(LLAMA_70B, cluster, tp=4))["TP=4"][0].hardware
    assert isinstance(memory, FreeMemory)
    named = {(gpu.node_name, gpu.gpu_index): [one.pid for one in gpu.processes] for gpu in memory.gpus}
    assert named == {("node-1", gpu): [4700 + gpu] for gpu in range(4)}


def test_a_process_that_holds_too_little_is_not_blamed() -> None:
    cluster = held(parse_cluster_spec("1xA100-80GB"), 0, 0, 1, 2)
    cluster = with_gpu(cluster, 0, 0, memory_free_bytes=20 * GIB)
    answer = ask(LLAMA_8B, cluster)
    memory = fixes_by_label(answer)["DP=1"][0].hardware
    assert isinstance(memory, FreeMemory)
    assert [(gpu.gpu_index, gpu.processes) for gpu in memory.gpus] == [(0, ())]


def test_memory_that_was_not_read_is_not_said_to_be_held() -> None:
    cluster = with_gpu(parse_cluster_spec("2xH100"), 0, 0, memory_free_bytes=None)
    answer = ask(LLAMA_70B, with_gpu(cluster, 0, 1, memory_free_bytes=None))
    assert not any(isinstance(fix.hardware, FreeMemory) for fix in answer.fixes)
    assert "free memory unknown" in answer.advice[0]
