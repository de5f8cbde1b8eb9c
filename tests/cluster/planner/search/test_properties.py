"""What must hold for any cluster and any options."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cluster.catalog.gpus import find_gpu
from cluster.catalog.models import load_model
from cluster.cluster_spec import parse_cluster_spec
from cluster.gpu_health import Finding, Health, Slowdown
from cluster.inventory import Cluster, Gpu, GpuProcess, Node
from cluster.planner.plan import plan
from cluster.planner.request import PlanRequest
from cluster.planner.result import Plan
from cluster.planner.to_json import plan_to_json
from tests.cluster.planner.ask import GIB, LLAMA_7B, LLAMA_8B, LLAMA_70B

TYPES = ("A100-80GB", "H100", "L4", "RTX-4090", "T4", "some unheard-of GPU")
MODELS = {name: load_model(name) for name in (LLAMA_7B, LLAMA_8B, LLAMA_70B, "Qwen/Qwen3-30B-A3B")}
names = st.sampled_from(sorted(MODELS))
GENTLE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def total_bytes(kind: str) -> int:
    return 24 * GIB if " " in kind else find_gpu(kind).memory_bytes


share = st.sampled_from((1.0, 0.9, 0.35, 0.01))
degraded = st.builds(
    Health,
    state=st.just("degraded"),
    findings=st.just((Finding(code="hot", state="degraded", text="hot: 95 C"),)),
    slowdown=st.builds(Slowdown, compute=share, memory=share, nvlink=share, pcie=share),
)


@st.composite
def gpus(draw: st.DrawFn, index: int, node: int) -> Gpu:
    kind = draw(st.sampled_from(TYPES))
    total = draw(
        st.sampled_from((total_bytes(kind), None, 0)) if draw(st.booleans()) else st.just(total_bytes(kind))
    )
    held = st.integers(0, 2 * GIB) | st.integers(0, 90 * GIB)
    free = None if total is None or draw(st.integers(0, 9)) == 0 else max(0, total - draw(held))
    return Gpu(
        index=index,
        uuid=f"GPU-{node}-{index}",
        type=kind,
        memory_total_bytes=total,
        memory_free_bytes=free,
        compute_capability=draw(st.sampled_from(((8, 0), (7, 5), None))),
        nvlink_island=draw(st.sampled_from((None, "nvlink-0", "nvlink-1"))),
        mig_parent_uuid=draw(st.sampled_from((None, None, None, "GPU-parent"))),
        claimed_by=draw(st.sampled_from((None, None, None, "chat"))),
        unhealthy_reason=draw(st.sampled_from((None, None, None, "XID 79"))),
        excluded_reason=draw(st.sampled_from((None, None, None, "not in CUDA_VISIBLE_DEVICES"))),
        health=draw(st.none() | st.just(Health()) | degraded),
        processes=draw(st.sampled_from(((), (GpuProcess(pid=1),)))),
    )


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    nodes = []
    for number in range(draw(st.integers(0, 4))):
        size = draw(st.integers(0, 8))
        alike = draw(gpus(0, number))
        mixed = draw(st.booleans())
        members = tuple(
            draw(gpus(index, number))
            if mixed
            else alike.model_copy(update={"index": index, "uuid": f"GPU-{number}-{index}"})
            for index in range(size)
        )
        domain = draw(st.sampled_from((None, None, "rack")))
        nodes.append(Node(node_id=f"n{number}", name="node", gpus=members, nvlink_domain=domain))
    return Cluster(source="file", nodes=tuple(nodes))


small = st.integers(1, 9) | st.none()
requests = st.builds(
    PlanRequest,
    tp=small,
    pp=small,
    dp=small,
    ep=small,
    max_model_len=st.sampled_from((None, 1, 2048, 10**9)),
    max_num_seqs=st.sampled_from((None, 1, 10**6)),
    gpu_memory_utilization=st.sampled_from((None, 0.01, 0.5, 1.0)),
    kv_cache_dtype=st.sampled_from((None, "fp8")),
    input_tokens=st.sampled_from((1, 1024, 10**7)),
    output_tokens=st.sampled_from((1, 512, 10**7)),
    concurrency=st.sampled_from((None, 1, 7, 10**6)),
    objective=st.sampled_from(("throughput", "latency")),
    ttft_s=st.sampled_from((None, 0.001, 1.0)),
    tpot_s=st.sampled_from((None, 0.0001, 0.05)),
    workload=st.sampled_from(("inference", "inference", "training")),
    engine=st.sampled_from(("builtin", "vllm", "sglang", "tensorrt-llm")),
)


@GENTLE
@given(clusters(), names, requests)
def test_any_question_gets_a_sound_answer(cluster: Cluster, model: str, request: PlanRequest) -> None:
    answer = plan(cluster, MODELS[model], request)
    assert (answer.recommended is None) == (not any(c.feasible for c in answer.candidates))
    assert answer.recommended is not None or answer.advice
    check_candidates(answer, cluster)
    assert json.loads(json.dumps(plan_to_json(answer), allow_nan=False))["schema_version"] == 1


wide = st.builds(
    PlanRequest,
    tp=st.sampled_from((4, 8, 12, 16, 32)),
    pp=st.sampled_from((None, 1, 2)),
    dp=st.sampled_from((None, 1, 2)),
    ep=st.sampled_from((None, 16, 32)),
    max_model_len=st.sampled_from((1, 2048)),
    engine=st.sampled_from(("builtin", "vllm", "sglang", "tensorrt-llm")),
)


@GENTLE
@example(parse_cluster_spec("1x8xA100-80GB"), "Qwen/Qwen3-30B-A3B", PlanRequest(tp=4, max_model_len=2048))
@given(clusters(), names, wide)
def test_wide_groups_get_a_sound_answer(cluster: Cluster, model: str, request: PlanRequest) -> None:
    answer = plan(cluster, MODELS[model], request)
    check_candidates(answer, cluster)
    kinds = {gpu.uuid: gpu for node in cluster.nodes for gpu in node.gpus}
    for candidate in answer.candidates:
        # Ranks that share one set of experts are one engine: its stage has a TP group for each of them.
        layout = candidate.layout
        width = layout.tp * layout.attention_ranks
        groups: dict[tuple[int, int], list[Gpu]] = {}
        for rank in candidate.placement:
            groups.setdefault((rank.replica, rank.stage), []).append(kinds[rank.gpu_uuid])
        for members in groups.values():
            assert (
                layout.tp == request.tp and len(members) == width and len({gpu.type for gpu in members}) == 1
            )
            assert not any(gpu.mig_parent_uuid for gpu in members)


def check_candidates(answer: Plan, cluster: Cluster) -> None:
    usable = {
        gpu.uuid
        for node in cluster.nodes
        for gpu in node.gpus
        if gpu.claimed_by is None and gpu.unhealthy_reason is None and gpu.excluded_reason is None
    }
    sick = {
        gpu.uuid
        for node in cluster.nodes
        for gpu in node.gpus
        if gpu.health is not None and gpu.health.state == "degraded"
    }
    for candidate in answer.candidates:
        assert candidate.feasible == (not candidate.rejections)
        assert all(rejection.message for rejection in candidate.rejections)
        uuids = [rank.gpu_uuid for rank in candidate.placement]
        assert len(set(uuids)) == len(uuids) and set(uuids) <= usable
        assert candidate.degraded.num_gpus == len(sick.intersection(uuids))
        if candidate.feasible:
            assert len(uuids) == candidate.layout.gpus and candidate.why
            check_parts(candidate.memory_by_stage)
            if candidate.stages:
                assert candidate.stages[-1].end == answer.model.num_layers
                assert all(
                    a.end == b.first for a, b in zip(candidate.stages, candidate.stages[1:], strict=False)
                )


def check_stages(stages: Any, num_layers: int) -> None:
    assert [stage.first for stage in stages] == [0, *(stage.end for stage in stages[:-1])]
    assert stages[-1].end == num_layers and all(stage.num_layers > 0 for stage in stages)


def check_parts(memories: Any) -> None:
    for memory in memories:
        parts = memory.weights_bytes + memory.activation_bytes + memory.cuda_graph_bytes
        assert parts + memory.non_torch_bytes + memory.kv_cache_bytes == memory.total_bytes
        assert memory.total_bytes <= memory.budget_bytes


def plain(num_nodes: int, size: int, kind: str, free_share: float) -> Cluster:
    total = total_bytes(kind)
    nodes = tuple(
        Node(
            node_id=f"n{number}",
            name=f"n{number}",
            gpus=tuple(
                Gpu(
                    index=index,
                    uuid=f"{number}-{index}",
                    type=kind,
                    memory_total_bytes=total,
                    memory_free_bytes=int(total * free_share),
                    nvlink_island="nvlink-0",
                )
                for index in range(size)
            ),
        )
        for number in range(num_nodes)
    )
    return Cluster(source="file", nodes=nodes)


def holds(cluster: Cluster, model: str, **request: Any) -> bool:
    return plan(cluster, MODELS[model], PlanRequest(**request)).recommended is not None


pins = st.fixed_dictionaries(
    {
        "tp": st.sampled_from((1, 2, 4, 8)),
        "pp": st.sampled_from((1, 2, 3)),
        "dp": st.sampled_from((1, 2)),
        "max_model_len": st.just(4096),
        "engine": st.sampled_from(("vllm", "builtin", "tensorrt-llm")),
    }
)
sizes = st.tuples(st.integers(1, 3), st.sampled_from((1, 2, 4, 8)), st.sampled_from(TYPES[:4]))


@GENTLE
@given(
    sizes, st.sampled_from(sorted(MODELS)), pins, st.floats(0.3, 1.0), st.floats(0.0, 1.0), st.integers(0, 2)
)
def test_more_never_loses_a_layout(
    size: tuple[int, int, str], model: str, pinned: Any, free: float, gain: float, more_nodes: int
) -> None:
    """More free memory and more nodes keep every layout that held."""
    nodes, gpus_a_node, kind = size
    if holds(plain(nodes, gpus_a_node, kind, free), model, **pinned):
        roomier = free + gain * (1.0 - free)
        assert holds(plain(nodes + more_nodes, gpus_a_node, kind, roomier), model, **pinned)


@GENTLE
@given(sizes, names)
def test_a_model_that_is_placed_stays_placed_on_more_nodes(size: tuple[int, int, str], model: str) -> None:
    nodes, gpus_a_node, kind = size
    if holds(plain(nodes, gpus_a_node, kind, 1.0), model):
        assert holds(plain(nodes + 1, gpus_a_node, kind, 1.0), model)
