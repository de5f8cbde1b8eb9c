"""Made deployments of an engine that runs as processes of its own: starting, serving, failed."""

from __future__ import annotations

from cluster.deploy.engine_in_use import EngineInUse
from cluster.deploy.predicted import Predicted
from cluster.deploy.status import DeploymentState, DeploymentStatus, Measured, RankState, ReplicaStatus
from cluster.engines.startup import StartupPhase
from cluster.inventory import Cluster
from cluster.planner.result import Band
from cluster.units import GIB
from tests.tui.builders import make_deployment

ENGINE = EngineInUse(name="vllm", version="0.32.0", planned_for="vllm 0.32.0")
PREDICTED = Predicted(
    total_bytes=int(71.3 * GIB),
    weights_bytes=int(32.9 * GIB),
    activation_bytes=int(1.9 * GIB),
    cuda_graph_bytes=int(0.6 * GIB),
    non_torch_bytes=int(1.1 * GIB),
    kv_cache_bytes=int(34.8 * GIB),
    kv_cache_tokens=456_130,
    max_concurrency=55.6,
    throughput_tokens_per_s=Band(1930, 1505, 2393),
    ttft_s=Band(0.214, 0.17, 0.29),
    tpot_s=Band(0.0284, 0.0241, 0.0369),
    concurrency=64,
)
LAST_LOG = (
    "INFO 11-28 03:12:04 [gpu_model_runner.py:2338] Starting to load model meta-llama/Llama-3.1-70B-Instruct",
    "INFO 11-28 03:12:31 [default_loader.py:268] Loading weights took 26.83 seconds",
    "ERROR 11-28 03:12:40 [core.py:700] EngineCore failed to start.",
    "ERROR 11-28 03:12:40 [core.py:700] Traceback (most recent call last):",
    'ERROR 11-28 03:12:40 [core.py:700]   File "gpu_worker.py", line 249, in determine_available_memory',
    "ERROR 11-28 03:12:40 [core.py:700] torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 3 GiB",
)


def _base(cluster: Cluster, serving: bool) -> DeploymentStatus:
    update = {"simulated": False, "scale": None, "engine": ENGINE, "is_server": True, "predicted": PREDICTED}
    return make_deployment(cluster, serving).model_copy(update=update)


def serving_server(cluster: Cluster, in_flight: int = 33) -> DeploymentStatus:
    """Two replicas that serve, with metrics and figures of the start-up log."""
    status = _base(cluster, True)
    replicas = tuple(
        ReplicaStatus(
            replica=number,
            ready=True,
            requests_total=1204 + 31 * number,
            in_flight=in_flight,
            running=in_flight - 2,
            waiting=2,
            tokens_per_s=1262.0 - 40 * number,
            kv_cache_use=0.41 + 0.03 * number,
            prefix_hit_rate=0.62,
            ttft_s=0.231,
            tpot_s=0.0279,
            proven_age_s=0.4,
        )
        for number in range(2)
    )
    measured = Measured(
        total_bytes=int(70.9 * GIB),
        weights_bytes=int(32.88 * GIB),
        activation_bytes=int(2.1 * GIB),
        cuda_graph_bytes=int(0.74 * GIB),
        kv_cache_bytes=int(34.2 * GIB),
        kv_cache_tokens=448_256,
        max_concurrency=54.7,
        throughput_tokens_per_s=2484.0,
        ttft_s=0.231,
        tpot_s=0.0279,
        absent={"non_torch_bytes": "the engine did not log it"},
    )
    ranks = tuple(rank.model_copy(update={"memory_used_bytes": int(70.9 * GIB)}) for rank in status.ranks)
    update = {"replicas": replicas, "measured": measured, "tokens_per_s": 2484.0, "ranks": ranks}
    return status.model_copy(update=update)


def starting_server(cluster: Cluster) -> DeploymentStatus:
    """Two replicas that start: one loads weights, one captures graphs."""
    status = _base(cluster, False)
    phases = (
        (StartupPhase.LOADING, 0.43, RankState.LOADING),
        (StartupPhase.CAPTURING, 0.71, RankState.WARMING_UP),
    )
    ranks = tuple(
        rank.model_copy(
            update={
                "reason": str(phases[rank.replica][0]),
                "progress": phases[rank.replica][1],
                "state": phases[rank.replica][2],
                "age_s": 12.0,
                "deadline_s": None,
            }
        )
        for rank in status.ranks
    )
    measured = Measured(weights_bytes=int(32.88 * GIB), kv_cache_tokens=448_256)
    return status.model_copy(update={"ranks": ranks, "measured": measured})


def failed_server(cluster: Cluster) -> DeploymentStatus:
    """A deployment that was given up, with the last lines of its engine."""
    status = _base(cluster, False)
    reason = "its server ended with status 1: torch.OutOfMemoryError: CUDA out of memory"
    ranks = tuple(
        rank.model_copy(update={"state": RankState.FAILED, "reason": reason, "progress": None})
        for rank in status.ranks
    )
    replicas = tuple(ReplicaStatus(replica=number, ready=False, last_log=LAST_LOG) for number in range(1))
    update = {
        "state": DeploymentState.FAILED,
        "reason": f"replica 0: {reason}",
        "ranks": ranks,
        "replicas": replicas,
        "predicted": Predicted(),
    }
    return status.model_copy(update=update)
