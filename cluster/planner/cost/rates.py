"""Achieved rates of one GPU under one engine: datasheet figures times the achieved fractions."""

from __future__ import annotations

from dataclasses import dataclass, field
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

USUAL_FRACTION = 0.5
"""What is achieved of a dtype's rate where nobody measured it."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What the cost model divides by."""

    weights_bytes_per_s: float
    cache_bytes_per_s: float
    plain_bytes_per_s: float
    """Element-wise kernels."""
    flops_per_s: dict[str, float] = field(hash=False)
    expert_flops_per_s: dict[str, float] = field(hash=False)
    dequantised: dict[str, float] = field(hash=False)
    attention_flops_per_s: float
    decode_attention_flops_per_s: float
    expert_passes: float
    knees: dict[str, float] = field(hash=False)
    achieved: Achieved
    engine: EngineTiming
    host_speed: float

    def bandwidth(self, weight_format: str, compute: str) -> float:
        """Return bytes/s at which weights stream; slower where each element is widened on the way."""
        widened = weight_format not in (compute, "bf16", "fp16", "fp32")
        return self.weights_bytes_per_s * (self.dequantised.get(weight_format, 1.0) if widened else 1.0)


def rates_of(gpu: GpuSpec, engine: EngineProfile) -> Rates:
    """Return the achieved rates of a GPU type under an engine."""
    return _rates(_ByIdentity(gpu), engine.name, engine.version)


@dataclass(frozen=True)
class _ByIdentity:
    """A GPU type compared by its name: types are unique in the catalogue."""

    gpu: GpuSpec = field(compare=False)
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", f"{self.gpu.type}/{id(self.gpu)}")


@lru_cache(maxsize=256)
def _rates(key: _ByIdentity, engine_name: str, engine_version: str) -> Rates:
    timing = load_timing()
    return make_rates(key.gpu, engine_timing(engine_name, engine_version), timing)


def make_rates(gpu: GpuSpec, engine: EngineTiming, timing: Timing) -> Rates:
    """Return the achieved rates under the given constants."""
    achieved, own = timing.achieved, timing.gpus.get(gpu.type, GpuTiming())
    measured = _of_architecture(gpu, timing)
    streaming = streaming_fraction(gpu, timing)
    bandwidth = gpu.memory_bandwidth_bytes_per_s * engine.bandwidth_factor * own.bandwidth_factor
    half = gpu.flops_per_s.get("fp16") or gpu.flops_per_s.get("fp32") or 1e12
    return Rates(
        weights_bytes_per_s=bandwidth * streaming,
        cache_bytes_per_s=bandwidth * achieved.cache_bandwidth,
        plain_bytes_per_s=bandwidth * streaming,
        flops_per_s=_scaled(gpu.flops_per_s, flops_fractions(gpu, timing), engine.flops_factor),
        expert_flops_per_s=_scaled(gpu.flops_per_s, achieved.expert_flops, engine.flops_factor),
        dequantised=achieved.dequantised,
        attention_flops_per_s=half * achieved.attention_flops * engine.flops_factor,
        decode_attention_flops_per_s=half * achieved.decode_attention_flops * engine.flops_factor,
        expert_passes=measured.expert_activation_passes if measured else achieved.expert_activation_passes,
        knees=_knees(gpu, achieved),
        achieved=achieved,
        engine=engine,
        host_speed=own.host_speed,
    )


def streaming_fraction(gpu: GpuSpec, timing: Timing) -> float:
    """Return the share of a GPU's memory bandwidth at which weights stream, before its own factor."""
    known = _of_architecture(gpu, timing)
    return known.weights_bandwidth if known else timing.achieved.weights_bandwidth


def flops_fractions(gpu: GpuSpec, timing: Timing) -> dict[str, float]:
    """Return the share of the datasheet's rate that large products achieve, by dtype."""
    known = _of_architecture(gpu, timing)
    return timing.achieved.flops | known.flops if known else timing.achieved.flops


def _of_architecture(gpu: GpuSpec, timing: Timing) -> ArchitectureRates | None:
    return timing.architectures.get("{}.{}".format(*gpu.compute_capability))


def _knees(gpu: GpuSpec, achieved: Achieved) -> dict[str, float]:
    wide = ("fp32", "fp16", "bf16")
    return {
        dtype: achieved.roofline_knee if dtype in wide else achieved.narrow_knee for dtype in gpu.flops_per_s
    }


def _scaled(flops: dict[str, float], fractions: dict[str, float], factor: float) -> dict[str, float]:
    return {dtype: rate * fractions.get(dtype, USUAL_FRACTION) * factor for dtype, rate in flops.items()}
