"""What kernels and hosts achieve, and how far estimates were off. Read from timing.toml.

The overheads of an engine are in its own file: engine_catalog.engine_timing.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

TIMING_FILE = Path(__file__).parent / "timing.toml"


@dataclass(frozen=True, slots=True)
class Achieved:
    """Shares of the datasheet's rates that kernels reach."""

    weights_bandwidth: float
    """Of memory bandwidth, streaming weights into a matrix product."""
    cache_bandwidth: float
    """Of memory bandwidth, reading keys and values."""
    roofline_knee: float
    """Exponent that joins memory time and compute time: (m^k + c^k)^(1/k)."""
    narrow_knee: float
    """The same for products of 8 and 4 bits, whose operands are scaled and quantized on the way."""
    activation_passes: float
    """How often a layer reads or writes a token's hidden vector outside of matrix products."""
    expert_activation_passes: float
    """Times the rows of picked experts are read or written: permuting, activating, combining."""
    attention_flops: float
    """Of the 16-bit rate, in attention over a long prompt."""
    attention_extra_keys: float
    """Keys by which a prompt token's attention seems longer: tiles cut by the causal mask, start-up."""
    decode_attention_flops: float
    """Of the 16-bit rate, in attention of one new token over a latent cache."""
    expert_imbalance: float
    """Load of the busiest expert-parallel rank over the mean."""
    flops: dict[str, float] = field(hash=False)
    """Of the rate of a compute dtype, in dense matrix products, where the architecture has no figure."""
    expert_flops: dict[str, float] = field(hash=False)
    """Of the rate of a compute dtype, in grouped products of experts."""
    dequantized: dict[str, float] = field(hash=False)
    """By weight format: bandwidth share relative to weights_bandwidth when only weights are quantized."""
    quantized_layer_s: dict[str, float] = field(hash=False)
    """By weight format: more fixed time of a layer's products than 16-bit ones take."""


@dataclass(frozen=True, slots=True)
class ArchitectureRates:
    """What kernels reach on GPUs of one compute capability, where it was measured."""

    weights_bandwidth: float
    expert_activation_passes: float
    flops: dict[str, float] = field(hash=False)


@dataclass(frozen=True, slots=True)
class GpuTiming:
    """Where one GPU type or its usual host departs from its architecture."""

    bandwidth_factor: float = 1.0
    host_speed: float = 1.0


@dataclass(frozen=True, slots=True)
class EngineTiming:
    """Overheads of one engine."""

    layer_s: float
    """A layer's kernels' fixed time in a captured graph."""
    eager_layer_s: float
    """The same without graphs, launched from Python."""
    expert_layer_s: float
    """More of it in a layer with experts (routing, permutation)."""
    latent_layer_s: float
    """More of it in a layer with latent attention: projections into and out of the latent space."""
    step_s: float
    """GPU-side fixed time of a step: sampling, gaps."""
    host_step_s: float
    """Host work of a step: scheduling, input preparation."""
    host_sequence_s: float
    """Host work for each sequence of a step."""
    host_group_s: float
    """More host work of a step where several ranks have to learn of it."""
    host_request_s: float
    """Host work for each request: tokenizing, admission, answer."""
    first_token_s: float
    """From a request's arrival over HTTP to its first step, and from its first token to the client."""
    overlap: float
    """Share of host work that hides behind the GPU's, 0 to 1."""
    pipeline_overlap: float
    """The same with several pipeline stages."""
    lockstep_share: float
    """Share of its rate that attention DP keeps although every step waits for the rank with the most work."""
    pipeline_pacing: float
    """How far one micro-batch that carries a prompt holds up the others of its round, 0 (not) to 1 (all)."""
    reserved_output_share: float
    """Share of a request's output tokens that the scheduler keeps room for when it admits the request."""
    experts_by_attention_dp: bool = False
    """The engine's published recipe runs TP ranks of a model with experts as attention-DP ranks with EP."""
    measured_offline: bool = False
    """The evidence of this engine at full batch was taken without an HTTP server in front."""
    slow_expert_formats: dict[str, float] = field(default_factory=dict, hash=False)
    """By weight format: more time of a layer whose experts run without a graph or a fused kernel."""
    bandwidth_factor: float = 1.0
    """The engine's kernels beside the common achieved bandwidth."""
    flops_factor: float = 1.0
    """The engine's kernels beside the common achieved rate."""


@dataclass(frozen=True, slots=True)
class BandFractions:
    """A band around an estimate: low = value x low, high = value x high."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Timing:
    """All of timing.toml."""

    achieved: Achieved
    architectures: dict[str, ArchitectureRates] = field(hash=False)
    """By compute capability: '9.0'."""
    gpus: dict[str, GpuTiming] = field(hash=False)
    """By GPU type."""
    bands: dict[str, dict[str, BandFractions]] = field(hash=False)
    """Class of layout ('dense', 'experts', 'pipelined') -> figure -> band."""


@cache
def load_timing() -> Timing:
    """Return the constants of timing.toml. A broken file is a bug of ours: KeyError or TypeError."""
    values: dict[str, Any] = tomllib.loads(TIMING_FILE.read_text(encoding="utf-8"))
    return Timing(
        achieved=Achieved(**values["achieved"]),
        architectures={
            name: ArchitectureRates(**entry) for name, entry in values.get("architectures", {}).items()
        },
        gpus={name: GpuTiming(**entry) for name, entry in values.get("gpus", {}).items()},
        bands={
            group: {figure: BandFractions(*limits) for figure, limits in figures.items()}
            for group, figures in values["bands"].items()
        },
    )
