"""What an engine starts with: the share of a GPU it takes, and its limits where the user sets none."""

from dataclasses import dataclass, field
from typing import Literal

BudgetRule = Literal[
    "fraction_of_total", "fraction_of_free", "fraction_of_free_after_loading", "static_fraction"
]


@dataclass(frozen=True, slots=True)
class StaticReserve:
    """How an engine works out its static fraction: one less the share of the GPU that it keeps in reserve."""

    base_bytes: int
    per_batched_token_bytes: int
    """For each token of the largest forward pass."""
    per_rank_bytes: int
    """For each rank of the group (TP x PP)."""
    large_gpu_above_bytes: int
    """GPUs with more memory than this reserve `large_gpu_min_bytes` at least."""
    large_gpu_min_bytes: int


@dataclass(frozen=True, slots=True)
class StaticFraction:
    """The share of a GPU for weights and cache together, all else lying beside it."""

    vision_share: float
    """Share of that fraction that is used with a vision tower, 0 to 1."""
    reserve: StaticReserve | None = None
    """None: the fraction is `default_utilization`, whatever the GPU."""


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """How much of a GPU an engine lets itself use."""

    rule: BudgetRule
    """What the fraction is taken of: the GPU's total, what is free at the start, what is free once the model
    is loaded, or (static) what is free beside activations and graphs."""
    default_utilization: float
    """The fraction where the user names none, 0 to 1."""
    graphs_inside: bool
    """CUDA graphs count inside the budget; else they are captured on top of it."""
    static: StaticFraction | None = None
    """Given where the rule is static_fraction, and only there."""

    def __post_init__(self) -> None:
        if (self.rule == "static_fraction") != (self.static is not None):
            raise ValueError("the rule static_fraction and the table 'static' go together")


@dataclass(frozen=True, slots=True)
class GpuSizeDefaults:
    """Defaults on GPUs of a size and above."""

    min_bytes: int
    """Least total memory of such a GPU, as NVML reports it."""
    max_num_seqs: int
    max_num_batched_tokens: int


@dataclass(frozen=True, slots=True)
class LongContextChunks:
    """Chunked prefill that an engine turns on by itself for long contexts."""

    above_tokens: int
    """For a max_model_len above this."""
    max_num_batched_tokens: int


@dataclass(frozen=True, slots=True)
class StartDefaults:
    """The limits of an engine where the user sets none."""

    max_num_seqs: int
    """Sequences of one batch, on GPUs below every size in `gpu_sizes`."""
    max_num_batched_tokens: int
    """Tokens of one forward pass, on the same GPUs."""
    chunks_prefill: bool
    """Long prompts are computed in chunks; else one forward pass must hold the longest prompt."""
    gpu_sizes: dict[str, GpuSizeDefaults] = field(hash=False)
    """Size class -> its defaults. A GPU gets those of the largest `min_bytes` that it reaches."""
    small_gpu_types: tuple[str, ...]
    """GPU types that begin with one of these get the defaults of the smallest GPUs, whatever their memory."""
    long_context_chunks: LongContextChunks | None = None
    """Only of use without `chunks_prefill`."""
