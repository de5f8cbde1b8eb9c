"""What a deployment is doing: every state with a reason, an age and a deadline."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from cluster.deploy.engine_in_use import EngineInUse
from cluster.deploy.plan_fields import BandField, LayoutField
from cluster.deploy.predicted import Predicted
from cluster.deploy.scaling_status import ScalingStatus
from cluster.engines.startup import StartupFacts
from cluster.frozen import FromAnyVersion
from cluster.text import CleanStr


class RankState(StrEnum):
    """Life of a rank, in order."""

    PLACING = "placing"
    STARTING = "starting"
    JOINING = "joining"
    LOADING = "loading"
    WARMING_UP = "warming up"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class DeploymentState(StrEnum):
    """Life of a deployment, derived from its ranks at each look."""

    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"  # some replicas serve, some restart
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


SERVING = (DeploymentState.READY, DeploymentState.DEGRADED)
"""States in which at least one replica answers requests."""


class RankStatus(FromAnyVersion):
    """One rank now."""

    replica: int
    stage: int
    rank: int
    node_id: CleanStr
    node_name: CleanStr
    gpu_index: int
    gpu_uuid: CleanStr
    state: RankState
    reason: CleanStr = ""
    """What it waits for, or why it failed."""
    progress: float | None = None
    """0 to 1 while loading."""
    age_s: float = 0.0
    """Seconds in this state."""
    deadline_s: float | None = None
    """Seconds in this state after which the group is given up."""
    memory_used_bytes: int | None = None
    """Held by the rank's tensors: CUDA allocator on a GPU, parameters and cache on a CPU."""


class ReplicaStatus(FromAnyVersion):
    """One replica's service."""

    replica: int
    ready: bool
    requests_total: int = 0
    """Of users, since the replica's start: proofs of health are not counted. So are the output tokens."""
    in_flight: int = 0
    output_tokens_total: int = 0
    tokens_per_s: float = 0.0
    """Over the last few seconds."""
    all_reduces_per_token: float | None = None
    all_reduce_share: float | None = None
    """Part of the decode time spent in all-reduces, 0 to 1; None before the first token."""
    restarts: int = 0
    last_trouble: CleanStr = ""
    """Why it was last started again, or what its ranks recovered from; empty when nothing was wrong."""
    last_trouble_age_s: float | None = None
    last_log: tuple[CleanStr, ...] = ()
    """The last lines that an engine process wrote before it failed; empty when none did."""
    draining: bool = False
    """It takes no new requests, and ends when those in flight are done."""
    running: int | None = None
    """Requests in the engine's batch, by its own metrics; None for an engine that does not say it."""
    waiting: int | None = None
    kv_cache_use: float | None = None
    """Part of the KV cache in use, 0 to 1."""
    prefix_hit_rate: float | None = None
    """Part of the prompt tokens found in the prefix cache since the start, 0 to 1; None before the first."""
    proven_age_s: float | None = None
    """Seconds since a real token was last generated."""
    ttft_s: float | None = None
    """Mean of the last requests of users; None: none were served. So is tpot_s."""
    tpot_s: float | None = None
    startup: StartupFacts | None = None
    """What the engine's log said of its memory; None for the built-in engine."""


class Measured(FromAnyVersion):
    """What was measured of a deployment, named like `Predicted`. Bytes are per GPU, of the fullest rank."""

    total_bytes: int | None = None
    """Held on the GPU by the deployment's processes, by NVML."""
    weights_bytes: int | None = None
    activation_bytes: int | None = None
    cuda_graph_bytes: int | None = None
    non_torch_bytes: int | None = None
    kv_cache_bytes: int | None = None
    kv_cache_tokens: int | None = None
    max_concurrency: float | None = None
    throughput_tokens_per_s: float | None = None
    """Of users' traffic over the last seconds, all replicas together."""
    ttft_s: float | None = None
    tpot_s: float | None = None
    absent: dict[CleanStr, CleanStr] = {}
    """Figure -> why it has no value."""


class RouterStatus(FromAnyVersion):
    """The state of a deployment's router."""

    restarts: int = 0
    last_trouble: CleanStr = ""
    """Why it was last started again, or what it recovered from; empty when nothing was wrong."""
    last_trouble_age_s: float | None = None


class DeploymentStatus(FromAnyVersion):
    """A deployment now."""

    name: CleanStr
    model: CleanStr
    label: CleanStr
    """The layout as people write it; empty while the controller has not answered."""
    layout: LayoutField | None = None
    """None while the controller has not answered, and from a controller too old to say it."""
    state: DeploymentState
    reason: CleanStr = ""
    age_s: float = 0.0
    endpoint: CleanStr | None = None
    """Base URL of the OpenAI-style router."""
    ranks: tuple[RankStatus, ...] = ()
    replicas: tuple[ReplicaStatus, ...] = ()
    tokens_per_s: float = 0.0
    simulated: bool = False
    scale: CleanStr | None = None
    engine: EngineInUse | None = None
    is_server: bool = False
    """The engine runs as processes of its own, with logs and metrics, instead of inside the rank actors."""
    weights: Literal["checkpoint", "dummy"] | None = None
    """Read from a checkpoint, or made up; None while the controller has not answered."""
    remarks: tuple[CleanStr, ...] = ()
    """Differences from the request or the plan."""
    predicted_tokens_per_s: BandField | None = None
    predicted: Predicted = Predicted()
    measured: Measured = Measured()
    planned_bytes_by_gpu: dict[CleanStr, int] = {}
    """GPU uuid -> memory the plan predicted."""
    router: RouterStatus = RouterStatus()
    scaling: ScalingStatus | None = None
    """The change of the number of replicas that is under way, or the last one; None: there was none."""
    controller_restarts: int = 0
    """How often Ray restarted the controller after it was lost; everything else is then restarted too."""
