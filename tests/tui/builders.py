"""Recorded states of a small cluster, and a plan that never changes, so that pictures hold still."""

from __future__ import annotations

from cluster.bridge.events import ClusterSeen, DeploymentsSeen, ReadingsSeen
from cluster.catalog.model_spec import (
    Attention,
    AttentionKind,
    Layer,
    ModelOrigin,
    ModelSpec,
    Split,
    Tensor,
    WeightFormat,
)
from cluster.deploy.order import engine_for
from cluster.deploy.spec import DeploymentSpec, ModelSource, RankPlace
from cluster.deploy.status import DeploymentState, DeploymentStatus, RankState, RankStatus, ReplicaStatus
from cluster.inventory import Cluster, Gpu, Node
from cluster.planner.fixes.fix import Fix, OtherWeights
from cluster.planner.layout import Layout, Placement
from cluster.planner.placement.form import Form
from cluster.planner.request import PlanRequest
from cluster.planner.result import (
    Band,
    Bottleneck,
    Candidate,
    ComparisonColumn,
    DecisionStep,
    Estimate,
    Plan,
    RankMemory,
    Rejection,
)
from cluster.planner.rule import Rule
from cluster.planner.traffic import Lengths
from cluster.planner.variants import VARIANTS
from cluster.telemetry import GpuReading, NodeReading
from cluster.units import GIB

NOW_S = 1_700_000_000.0
GPU_BYTES = int(79.25 * GIB)
MODEL = "meta-llama/Llama-3.1-70B-Instruct"


def make_cluster(
    num_nodes: int = 2, gpus: int = 4, simulated: bool = True, name: str = "node", used: int = int(0.5 * GIB)
) -> Cluster:
    """Build a cluster of equal nodes."""
    return Cluster(
        source="simulated" if simulated else "nvml",
        simulated=simulated,
        taken_at_s=NOW_S,
        nodes=tuple(
            Node(
                node_id=f"id-{number}",
                name=f"{name}-{number}",
                gpus=tuple(
                    Gpu(
                        index=index,
                        uuid=f"GPU-{number}-{index}",
                        type="A100-80GB",
                        memory_total_bytes=GPU_BYTES,
                        memory_free_bytes=GPU_BYTES - used,
                        nvlink_island="0",
                    )
                    for index in range(gpus)
                ),
            )
            for number in range(num_nodes)
        ),
    )


def make_readings(
    cluster: Cluster, used: int = int(0.5 * GIB), busy: float = 0.0, age_s: float = 0.4
) -> ReadingsSeen:
    """Build readings of every node; figures differ a little from GPU to GPU."""
    return ReadingsSeen(
        nodes=tuple(
            NodeReading(
                node_id=node.node_id,
                taken_at_s=NOW_S - age_s,
                simulated=cluster.simulated,
                gpus=tuple(
                    GpuReading(
                        uuid=gpu.uuid,
                        memory_total_bytes=gpu.memory_total_bytes,
                        memory_used_bytes=used,
                        memory_free_bytes=(gpu.memory_total_bytes or 0) - used,
                        utilization_percent=busy + (3 * gpu.index if busy else 0),
                        temperature_c=33 + 2 * gpu.index + busy / 4,
                        power_w=62 + 3 * gpu.index + busy * 2.6,
                        power_limit_w=400,
                    )
                    for gpu in node.gpus
                ),
            )
            for node in cluster.nodes
        )
    )


CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
}


def make_model(name: str = MODEL) -> ModelSpec:
    """Build a model with the shapes of an 80-layer Llama; only figures that screens print matter."""
    bf16 = WeightFormat("bf16", 16)
    layer = Layer(Attention(AttentionKind.FULL, 64, 8, 128), (), intermediate_size=28672)
    embedding = Tensor("embed", 128256, 8192, Split.VOCAB, bf16)
    return ModelSpec(
        name=name,
        architecture="LlamaForCausalLM",
        source="recorded",
        known_architecture=True,
        dtype="bf16",
        hidden_size=8192,
        num_attention_heads=64,
        num_kv_heads=8,
        head_dim=128,
        intermediate_size=28672,
        vocab_size=128256,
        max_position=131072,
        tied_embeddings=False,
        layers=(layer,) * 80,
        embedding=embedding,
        head=embedding,
        final=(),
        parameters=70_553_706_496,
        active_parameters=70_553_706_496,
        weights_bytes=141_107_412_992,
        origin=ModelOrigin(name, CONFIG, hub_id=name),
    )


def make_placement(cluster: Cluster, layout: Layout) -> tuple[Placement, ...]:
    """Put ranks on the GPUs in order."""
    places = [(node, gpu) for node in cluster.nodes for gpu in node.gpus]
    result = []
    for number in range(min(layout.gpus, len(places))):
        replica, inside = divmod(number, layout.gpus_per_replica)
        stage, rank = divmod(inside, layout.gpus_per_replica // layout.pp)
        node, gpu = places[number]
        result.append(Placement(replica, stage, rank, node.node_id, node.name, gpu.index, gpu.uuid))
    return tuple(result)


def make_estimate(rate: float, tpot_s: float, reduces: int, share: float) -> Estimate:
    """Build an estimate with bands around three figures."""
    return Estimate(
        throughput_tokens_per_s=Band(rate, rate * 0.78, rate * 1.24),
        ttft_s=Band(0.214, 0.17, 0.29),
        tpot_s=Band(tpot_s, tpot_s * 0.85, tpot_s * 1.3),
        request_s=0.214 + 511 * tpot_s,
        batch=128,
        all_reduce_share=share,
        all_reduces_per_token=reduces,
        bottleneck=Bottleneck.MEMORY_BANDWIDTH,
    )


def _fits(
    cluster: Cluster, layout: Layout, rate: float, tpot_s: float, weights: float, why: str
) -> Candidate:
    budget, fixed = 71.32, weights + 1.9 + 0.6 + 1.1
    memory = RankMemory(
        *(int(part * GIB) for part in (budget, budget, weights, 1.9, 0.6, 1.1, budget - fixed))
    )
    reduces = 160 if layout.tp > 1 else 0
    return Candidate(
        form=Form.plain(layout.tp, layout.pp, layout.ep),
        layout=layout,
        feasible=True,
        placement=make_placement(cluster, layout),
        memory_per_gpu=memory,
        kv_cache_tokens=int((budget - fixed) * GIB * layout.tp * layout.pp / 327_680),
        max_concurrency=(budget - fixed) * GIB * layout.tp * layout.pp / 327_680 / 8192,
        estimate=make_estimate(rate, tpot_s, reduces, 0.18 if reduces else 0.0),
        why=why,
    )


def _refused(layout: Layout, rule: Rule, message: str, *fixes: Fix) -> Candidate:
    form, refused = Form.plain(layout.tp, layout.pp, layout.ep), (Rejection(rule, message, fixes),)
    return Candidate(form, layout, feasible=False, rejections=refused, why=message)


def make_candidates(cluster: Cluster) -> tuple[Candidate, ...]:
    """Build the layouts of a 70B model on eight GPUs."""
    two = "Two replicas, each inside one node: all-reduces stay on NVLink and nothing crosses the network."
    return (
        _fits(cluster, Layout(tp=4, dp=2), 1930, 0.0284, 32.9, two),
        _fits(cluster, Layout(tp=2, pp=2, dp=2), 1540, 0.0431, 32.9, "Pipeline bubbles cost 20 %."),
        _fits(cluster, Layout(tp=4), 965, 0.0284, 32.9, "Leaves four GPUs free; half the throughput."),
        _fits(
            cluster,
            Layout(tp=4, pp=2),
            1210,
            0.0512,
            16.5,
            "One replica over both nodes waits on the net.",
        ),
        _refused(
            Layout(tp=8),
            Rule.CROSSES_NODE,
            "TP=8 spans node-0 and node-1, 160 all-reduces per token over the network",
            Fix(layout=Layout(tp=4, dp=2)),
            Fix(layout=Layout(tp=4, pp=2)),
        ),
        _refused(
            Layout(dp=8),
            Rule.WEIGHTS_DO_NOT_FIT,
            "needs 131.4 GiB of weights per GPU, 71.3 GiB available",
            Fix(layout=Layout(tp=4)),
            Fix(weights=OtherWeights(VARIANTS[0], 66 * GIB, 131 * GIB)),
        ),
        _refused(
            Layout(tp=2, dp=4),
            Rule.NO_KV_MEMORY,
            "weights take 65.7 of 71.3 GiB; 2.0 GiB are left for the cache, 2.5 GiB are needed",
            Fix(layout=Layout(tp=4, dp=2)),
            Fix.of(max_model_len=6144),
        ),
        _refused(
            Layout(tp=3, dp=2),
            Rule.HEADS_NOT_DIVISIBLE,
            "TP=3 does not divide 64 attention heads",
            Fix(layout=Layout(tp=4)),
            Fix.of(engine="builtin", engine_version=None),
        ),
    )


def make_plan(cluster: Cluster, model_name: str = MODEL, request: PlanRequest | None = None) -> Plan:
    """Build the recorded plan for a cluster; with no GPU free for it, the one where nothing fits."""
    candidates = make_candidates(cluster)
    return Plan(
        model=make_model(model_name),
        cluster=cluster,
        request=request or PlanRequest(max_model_len=8192),
        lengths=Lengths(1024, 512),
        engine_name="vllm",
        engine_version="0.11.0",
        recommended=candidates[0],
        candidates=candidates,
        decision=(
            DecisionStep("Does the model fit on 1 GPU?", "No", "131.4 GiB of weights, 71.3 GiB per GPU"),
            DecisionStep("Does it fit on 1 node?", "Yes", "4 GPUs of node-0 offer 285.3 GiB"),
            DecisionStep("How many such groups are there?", "2", "2 nodes, one group of 4 GPUs each"),
        ),
        comparison=make_comparison(),
        num_layouts_considered=42,
    )


def make_comparison() -> tuple[ComparisonColumn, ...]:
    """Build the table of the three strategies."""
    names = ("Model per GPU", "Communication", "Latency", "Throughput", "Memory per GPU", "Best for")
    data = (
        "full copy, 131.4 GiB",
        "none",
        "as on 1 GPU",
        "8 x one GPU",
        "does not fit",
        "models that fit 1 GPU",
    )
    tensor = (
        "1/4 of each layer, 32.9 GiB",
        "160 all-reduces per token, 18% of the time",
        "28 ms (24–37) per token",
        "965 tok/s (753–1,197)",
        "32.9 weights + 34.8 KV GiB",
        "models that need several GPUs",
    )
    both = (*tensor[:3], "1,930 tok/s (1,505–2,393)", tensor[4], "models on several GPUs, and throughput")
    return (
        ComparisonColumn("Data parallel", Layout(dp=8), tuple(zip(names, data, strict=True))),
        ComparisonColumn("Tensor parallel", Layout(tp=4), tuple(zip(names, tensor, strict=True))),
        ComparisonColumn("TP x DP", Layout(tp=4, dp=2), tuple(zip(names, both, strict=True))),
    )


def make_nothing_fits(cluster: Cluster, model_name: str = MODEL, request: PlanRequest | None = None) -> Plan:
    """Build a plan without a feasible layout."""
    from dataclasses import replace

    plan = make_plan(cluster, model_name, request)
    return replace(
        plan,
        recommended=None,
        candidates=tuple(item for item in plan.candidates if not item.feasible),
        decision=(
            *plan.decision[:1],
            DecisionStep("Does it fit on all nodes?", "No", "12.4 GiB missing"),
        ),
        advice=("12.4 GiB are missing: 2 more A100-80GB, or the FP8 variant, which fits with TP=2.",),
    )


def make_spec(plan: Plan, candidate: Candidate, taken_names: tuple[str, ...]) -> DeploymentSpec:
    """Turn a layout into an order."""
    return DeploymentSpec(
        name="llama-3-1-70b-1",
        model=ModelSource(name=plan.model.name, config={}, scale="1/64 width, 4 of 80 layers"),
        layout=candidate.layout,
        ranks=tuple(
            RankPlace(
                replica=place.replica,
                stage=place.stage,
                rank=place.rank,
                node_id=place.node,
                node_name=place.node_name,
                gpu_index=place.gpu_index,
                gpu_uuid=place.gpu_uuid,
            )
            for place in candidate.placement
        ),
        simulated=plan.cluster.simulated,
        engine=engine_for(plan),
    )


_STARTING = (
    (RankState.READY, None),
    (RankState.WARMING_UP, None),
    (RankState.LOADING, 0.93),
    (RankState.LOADING, 0.62),
    (RankState.LOADING, 0.31),
    (RankState.JOINING, None),
    (RankState.STARTING, None),
    (RankState.PLACING, None),
)


def make_deployment(cluster: Cluster, serving: bool, name: str = "llama-3-1-70b-1") -> DeploymentStatus:
    """Build a deployment of TP=4, DP=2 that starts, or one that serves."""
    places = make_placement(cluster, Layout(tp=4, dp=2))
    ranks = tuple(
        RankStatus(
            replica=place.replica,
            stage=place.stage,
            rank=place.rank,
            node_id=place.node,
            node_name=place.node_name,
            gpu_index=place.gpu_index,
            gpu_uuid=place.gpu_uuid,
            state=RankState.READY if serving else state,
            progress=None if serving else progress,
            age_s=95 if serving else 3,
            deadline_s=None if serving or state is RankState.READY else 120,
            memory_used_bytes=int(0.04 * GIB) if serving else None,
        )
        for place, (state, progress) in zip(places, _STARTING, strict=False)
    )
    replicas = tuple(
        ReplicaStatus(
            replica=replica,
            ready=serving,
            requests_total=31 + 2 * replica if serving else 0,
            in_flight=2 - replica if serving else 0,
            tokens_per_s=21.4 - replica if serving else 0.0,
            all_reduces_per_token=8 if serving else None,
            all_reduce_share=0.34 + 0.02 * replica if serving else None,
        )
        for replica in range(2)
    )
    return DeploymentStatus(
        name=name,
        model=MODEL,
        label="TP=4, DP=2",
        layout=Layout(tp=4, dp=2),
        state=DeploymentState.READY if serving else DeploymentState.STARTING,
        age_s=95 if serving else 14,
        endpoint="http://127.0.0.1:41801/v1" if serving else None,
        ranks=ranks,
        replicas=replicas,
        tokens_per_s=41.8 if serving else 0.0,
        simulated=True,
        scale="1/64 width, 4 of 80 layers",
        predicted_tokens_per_s=Band(1930, 1505, 2393),
        planned_bytes_by_gpu={place.gpu_uuid: int(71.3 * GIB) for place in places},
    )


def opening_events(cluster: Cluster) -> tuple[ClusterSeen | ReadingsSeen | DeploymentsSeen, ...]:
    """What a session says when it has joined."""
    return (ClusterSeen(cluster=cluster), make_readings(cluster), DeploymentsSeen(deployments=()))
