"""Rates measured on the user's own GPUs in place of the datasheet's and what is usually achieved of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cluster.catalog.gpu_spec import GpuSpec
from cluster.catalog.timing_spec import GpuTiming, load_timing
from cluster.inventory import MeasuredRate
from cluster.planner.cost.rates import USUAL_FRACTION, flops_fractions, streaming_fraction


def with_measured_rates(gpu: GpuSpec, measured: Sequence[MeasuredRate]) -> GpuSpec:
    """Return the GPU type such that the cost model divides by what was measured; itself where nothing was.

    The cost model multiplies a datasheet by fractions of its own, so that these are divided out here.
    """
    own = [rate for rate in measured if rate.gpu_type == gpu.type]
    if not own:
        return gpu
    timing, rate = load_timing(), own[-1]
    fractions = flops_fractions(gpu, timing)
    factor = timing.gpus.get(gpu.type, GpuTiming()).bandwidth_factor
    bandwidth = gpu.memory_bandwidth_bytes_per_s
    if rate.memory_bytes_per_s is not None:
        bandwidth = rate.memory_bytes_per_s / (streaming_fraction(gpu, timing) * factor)
    flops = {
        dtype: figure / fractions.get(dtype, USUAL_FRACTION) for dtype, figure in rate.flops_per_s.items()
    }
    return replace(gpu, memory_bandwidth_bytes_per_s=bandwidth, flops_per_s=gpu.flops_per_s | flops)
