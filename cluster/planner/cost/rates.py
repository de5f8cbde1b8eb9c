"""Achieved rates of one GPU under one engine: datasheet figures times the achieved fractions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

from cluster.catalog.engine_catalog import engine_timing
from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.gpu_spec import GpuSpec
from cluster.catalog.timing_spec import (
    Achieved,
    ArchitectureRates,
    EngineTiming,
    GpuTiming,
    Timing,
    load_timing,
)
from cluster.planner.placement.condition import Condition

USUAL_FRACTION = 0.5
"""Achieved share of a dtype's datasheet rate if it was not measured."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Achieved rates: the divisors of the cost model."""

    weights_bytes_per_s: float
    cache_bytes_per_s: float
    plain_bytes_per_s: float
    """Element-wise kernels."""
    flops_per_s: dict[str, float] = field(hash=False)
    expert_flops_per_s: dict[str, float] = field(hash=False)
    dequantized: dict[str, float] = field(hash=False)
    attention_flops_per_s: float
    decode_attention_flops_per_s: float
    expert_passes: float
    knees: dict[str, float] = field(hash=False)
    achieved: Achieved
    engine: EngineTiming
    host_speed: float

    def bandwidth(self, weight_format: str, compute: str) -> float:
        """Return the bytes/s at which weights stream; slower if each element must be dequantized."""
        dequantizes = weight_format not in (compute, "bf16", "fp16", "fp32")
        return self.weights_bytes_per_s * (self.dequantized.get(weight_format, 1.0) if dequantizes else 1.0)


def rates_of(gpu: GpuSpec, engine: EngineProfile) -> Rates:
    """Return the achieved rates of a GPU type under an engine."""
    return _rates(_ByIdentity(gpu), engine.name, engine.version)


@dataclass(frozen=True)
class _ByIdentity:
    """A GPU type compared by its name: types are unique in the catalog."""

    gpu: GpuSpec = field(compare=False)
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", f"{self.gpu.type}/{id(self.gpu)}")


@lru_cache(maxsize=256)
def _rates(key: _ByIdentity, engine_name: str, engine_version: str) -> Rates:
    timing = load_timing()
    return make_rates(key.gpu, engine_timing(engine_name, engine_version), timing)


def make_rates(gpu: GpuSpec, engine: EngineTiming, timing: Timing) -> Rates:
    """Return the achieved rates under the given constants.

    Rates measured on the user's GPUs are used directly; rates that are never measured separately (cache,
    attention, experts) keep their usual ratio to them.
    """
    achieved, known = timing.achieved, _of_architecture(gpu, timing)
    fractions = achieved.flops | known.flops if known else achieved.flops
    streaming = known.weights_bandwidth if known else achieved.weights_bandwidth
    flops = _dense_flops_per_s(gpu, fractions)
    full = {dtype: rate / fractions.get(dtype, USUAL_FRACTION) for dtype, rate in flops.items()}
    half = full.get("fp16") or full.get("fp32") or 1e12
    weights_bytes_per_s = _streaming_bytes_per_s(gpu, timing) * engine.bandwidth_factor
    return Rates(
        weights_bytes_per_s=weights_bytes_per_s,
        cache_bytes_per_s=weights_bytes_per_s * achieved.cache_bandwidth / streaming,
        plain_bytes_per_s=weights_bytes_per_s,
        flops_per_s={dtype: rate * engine.flops_factor for dtype, rate in flops.items()},
        expert_flops_per_s=_scaled(full, achieved.expert_flops, engine.flops_factor),
        dequantized=achieved.dequantized,
        attention_flops_per_s=half * achieved.attention_flops * engine.flops_factor,
        decode_attention_flops_per_s=half * achieved.decode_attention_flops * engine.flops_factor,
        expert_passes=known.expert_activation_passes if known else achieved.expert_activation_passes,
        knees=_knees(flops, achieved),
        achieved=achieved,
        engine=engine,
        host_speed=timing.gpus.get(gpu.type, GpuTiming()).host_speed,
    )


def slowed(rates: Rates, condition: Condition) -> Rates:
    """Return what a GPU in this condition has left of its rates."""
    memory, compute = condition.memory, condition.compute
    if memory == compute == 1.0:
        return rates
    return replace(
        rates,
        weights_bytes_per_s=rates.weights_bytes_per_s * memory,
        cache_bytes_per_s=rates.cache_bytes_per_s * memory,
        plain_bytes_per_s=rates.plain_bytes_per_s * memory,
        flops_per_s={dtype: rate * compute for dtype, rate in rates.flops_per_s.items()},
        expert_flops_per_s={dtype: rate * compute for dtype, rate in rates.expert_flops_per_s.items()},
        attention_flops_per_s=rates.attention_flops_per_s * compute,
        decode_attention_flops_per_s=rates.decode_attention_flops_per_s * compute,
    )


def memory_speedup(gpu: GpuSpec) -> float:
    """Return measured over usual memory bandwidth of a GPU type; 1 if it was not measured."""
    if gpu.measured is None:
        return 1.0
    timing = load_timing()
    return _streaming_bytes_per_s(gpu, timing) / _usual_bytes_per_s(gpu, timing)


def _streaming_bytes_per_s(gpu: GpuSpec, timing: Timing) -> float:
    """Return the rate at which a GPU type streams weights: as measured, else as usually achieved."""
    measured = gpu.measured.memory_bytes_per_s if gpu.measured else None
    return _usual_bytes_per_s(gpu, timing) if measured is None else measured


def _usual_bytes_per_s(gpu: GpuSpec, timing: Timing) -> float:
    known, own = _of_architecture(gpu, timing), timing.gpus.get(gpu.type, GpuTiming())
    share = known.weights_bandwidth if known else timing.achieved.weights_bandwidth
    return gpu.memory_bandwidth_bytes_per_s * own.bandwidth_factor * share


def _dense_flops_per_s(gpu: GpuSpec, fractions: dict[str, float]) -> dict[str, float]:
    """Return the rate of large matrix products by dtype: as measured, else a share of the datasheet's."""
    usual = _scaled(gpu.flops_per_s, fractions)
    return usual | gpu.measured.flops_per_s if gpu.measured else usual


def _of_architecture(gpu: GpuSpec, timing: Timing) -> ArchitectureRates | None:
    return timing.architectures.get("{}.{}".format(*gpu.compute_capability))


def _knees(flops: dict[str, float], achieved: Achieved) -> dict[str, float]:
    wide = ("fp32", "fp16", "bf16")
    return {dtype: achieved.roofline_knee if dtype in wide else achieved.narrow_knee for dtype in flops}


def _scaled(flops: dict[str, float], fractions: dict[str, float], factor: float = 1.0) -> dict[str, float]:
    return {dtype: rate * fractions.get(dtype, USUAL_FRACTION) * factor for dtype, rate in flops.items()}
