"""What a planner must know of an engine: its rules, its budget, its overheads. Read from engines/*.toml."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

BudgetRule = Literal["fraction_of_total", "fraction_of_free", "static_fraction"]


@dataclass(frozen=True, slots=True)
class EngineProfile:
    """One engine at one version. Constants are data with sources in the engine's file."""

    name: str
    version: str
    budget_rule: BudgetRule
    default_memory_utilization: float
    graphs_inside_budget: bool
    """CUDA graphs count inside the utilisation budget."""
    default_max_num_seqs: int
    default_max_num_batched_tokens: int
    block_tokens: int
    """Tokens of one cache block."""
    uneven_heads: bool = False
    """Heads, columns and vocabulary may be split unevenly over TP ranks."""
    supports_pp: bool = True
    supports_ep: bool = True
    supports_dp_attention: bool = True
    deployable: bool = False
    """This product can start it."""
    dtypes: tuple[str, ...] = ("bf16", "fp16", "fp32")
    quantizations: dict[str, tuple[int, int]] = field(default_factory=dict, hash=False)
    """Quantisation method -> least compute capability."""
    quantizes_on_load: tuple[str, ...] = ()
    """Values of --quantization that turn a 16-bit checkpoint into narrower weights while it is read."""
    constants: dict[str, float] = field(default_factory=dict, hash=False)
    """Named overheads used by the memory model; each has a source comment in the data file."""
    min_capability: tuple[int, int] = (7, 0)
    vocab_padding: int = 64
    architectures: tuple[str, ...] = ()
    """The only architectures it runs; empty: any that the catalogue can describe."""
    refuses_fp16: tuple[str, ...] = ()
    """Architectures that it does not compute in fp16, because they overflow."""
    packs_latents: tuple[str, ...] = ()
    """Architectures whose sparse latents it keeps in its own packed form unless asked otherwise."""
    undivided_quantizations: tuple[str, ...] = ()
    """Methods whose stored weights it cannot divide over tensor-parallel ranks."""
    with_pp: tuple[str, ...] = ()
    """The only architectures it divides into pipeline stages; empty: any but `without_pp`."""
    without_pp: tuple[str, ...] = ()
    """Architectures it does not divide into pipeline stages."""
    architecture_capabilities: dict[str, tuple[int, int]] = field(default_factory=dict, hash=False)
    """Architecture -> least compute capability for which the engine has its attention kernels."""
    compute_dtypes: dict[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    """Quantisation method -> the only dtypes its kernels compute in; any where a method is not named."""
    not_yet: dict[str, str] = field(default_factory=dict, hash=False)
    """Architectures, and 'rope <type>', that only a later version runs -> that version."""
    newest: str = ""
    """The newest version that the engine's file describes."""
    small_default_gpus: tuple[str, ...] = ()
    """Beginnings of GPU types that get the defaults of smaller GPUs."""
