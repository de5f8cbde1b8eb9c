"""A plan as data: candidates with figures and reasons, a decision path, a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cluster.catalog.model_spec import ModelSpec
from cluster.inventory import Cluster
from cluster.planner.fixes.fix import Fix
from cluster.planner.fixes.text import describe_fixes
from cluster.planner.launch import Launch
from cluster.planner.layout import Layout, Placement, StageRange
from cluster.planner.placement.degraded import NONE_DEGRADED, DegradedUse
from cluster.planner.placement.form import Form
from cluster.planner.placement.span import NOT_PLACED, Span
from cluster.planner.request import PlanRequest
from cluster.planner.rule import Rule
from cluster.planner.traffic import Lengths


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a layout cannot run."""

    rule: Rule
    message: str
    """The figures: 'TP=8 does not divide 28 attention heads'."""
    fixes: tuple[Fix, ...] = ()
    """Changes with which the layout runs, all of them tried; the smallest change first."""

    @property
    def fix(self) -> str:
        """The fixes as text: 'TP=4, or TP=4 x PP=2'."""
        return describe_fixes(self.fixes)


@dataclass(frozen=True, slots=True)
class RankMemory:
    """Memory of one rank, in bytes: weights + activation + cuda_graph + non_torch + kv_cache = total.

    `kv_cache_bytes` is what is left for the cache inside `budget_bytes`; negative room is clipped to 0 and
    shows as total > budget.
    """

    total_bytes: int
    budget_bytes: int
    weights_bytes: int
    activation_bytes: int
    cuda_graph_bytes: int
    non_torch_bytes: int
    kv_cache_bytes: int
    gradient_bytes: int = 0
    """Training only, like `optimizer_bytes`; both are part of the total."""
    optimizer_bytes: int = 0

    @property
    def fixed_bytes(self) -> int:
        """Everything but the cache."""
        return self.total_bytes - self.kv_cache_bytes

    @property
    def shortfall_bytes(self) -> int:
        """By how much the fixed parts exceed the budget; 0 when they fit."""
        return max(0, self.fixed_bytes - self.budget_bytes)


@dataclass(frozen=True, slots=True)
class Band:
    """A prediction with its error band, from measured errors."""

    value: float
    low: float
    high: float


class Bottleneck(StrEnum):
    """What takes most of a decode step's time, or limits the batch."""

    MEMORY_BANDWIDTH = "memory bandwidth"
    COMPUTE = "compute"
    ALL_REDUCE = "all-reduce"
    ALL_TO_ALL = "all-to-all"
    """Between the ranks that share experts, if no tensor-parallel group all-reduces."""
    PIPELINE_BUBBLES = "pipeline bubbles"
    KV_ROOM = "KV room"
    HOST = "host"
    LAUNCH_OVERHEAD = "launch overhead"


@dataclass(frozen=True, slots=True)
class Estimate:
    """Time and throughput of the whole layout."""

    throughput_tokens_per_s: Band
    ttft_s: Band
    tpot_s: Band
    request_s: float
    """From a request's arrival to its last token."""
    batch: int
    """Sequences decoded together in one replica at this estimate."""
    all_reduce_share: float
    """Part of a decode step spent in all-reduces, 0 to 1."""
    all_reduces_per_token: int
    bottleneck: Bottleneck
    runs_as: Layout | None = None
    """The layout of one replica that was timed, if the engine's MoE recipe runs the ranks in another way than
    the candidate's layout; None: the candidate's layout."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One layout evaluated on named GPUs."""

    form: Form
    """What each replica is made of."""
    layout: Layout
    """The form times the number of replicas."""
    feasible: bool
    rejections: tuple[Rejection, ...] = ()
    placement: Sequence[Placement] = ()
    """Ordered by replica, stage, rank. On large clusters it is computed on first use."""
    span: Span = NOT_PLACED
    """What the replicas span, as placed."""
    degraded: DegradedUse = NONE_DEGRADED
    """Which of its GPUs are degraded."""
    stages: tuple[StageRange, ...] = ()
    memory_per_gpu: RankMemory | None = None
    """The tightest rank."""
    memory_by_stage: tuple[RankMemory, ...] = ()
    kv_cache_tokens: int | None = None
    """Per replica."""
    max_concurrency: float | None = None
    """Requests of max_model_len that fit one replica's cache."""
    estimate: Estimate | None = None
    launch: Launch | None = None
    """What every replica's engine is started with; None where a rule refuses the layout before that."""
    why: str = ""
    """One sentence: why it is recommended, or why not."""
    notes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return self.layout.label


@dataclass(frozen=True, slots=True)
class DecisionStep:
    """One question of the decision tree with this user's numbers."""

    question: str
    answer: str
    because: str


@dataclass(frozen=True, slots=True)
class ComparisonColumn:
    """One strategy of the side-by-side table, filled with this model's and cluster's figures."""

    strategy: str
    """'Data parallel', 'Tensor parallel', 'TP x DP'."""
    layout: Layout | None
    rows: tuple[tuple[str, str], ...]
    """(row name, cell): 'Model per GPU', 'Communication', 'Latency', 'Throughput', 'Memory per GPU' ..."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer to a request."""

    model: ModelSpec
    cluster: Cluster
    request: PlanRequest
    """As the user made it."""
    lengths: Lengths
    """Request lengths that the plan is for: the user's, cut to fit one sequence."""
    engine_name: str
    engine_version: str
    recommended: Candidate | None
    candidates: tuple[Candidate, ...]
    """Feasible ones first, best first; then rejected ones."""
    decision: tuple[DecisionStep, ...]
    comparison: tuple[ComparisonColumn, ...] = ()
    fixes: tuple[Fix, ...] = ()
    """When nothing fits: the changes after which something does, the smallest first."""
    advice: tuple[str, ...] = ()
    """When nothing fits: by how much, and the fixes as text."""
    num_layouts_considered: int = 0
    kv_bytes_per_token: float | None = None
    """KV cache bytes per token over all ranks of one replica without copies (TP=1), at this length."""
