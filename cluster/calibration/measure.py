"""Carry out a calibration with workers that are already on their GPUs: rates, then group after group."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cluster.calibration.fit import fit_all_reduce
from cluster.calibration.groups import Group, groups_among
from cluster.calibration.result import (
    Calibration,
    GpuMeasurement,
    LinkMeasurement,
    ReduceTime,
    Spot,
)
from cluster.errors import ClusterviewError, DeployFailed
from cluster.inventory import MeasuredLink, MeasuredRate

_RATES_S = 60.0
_GROUP_S = 45.0
_MOST_S = 100.0
"""After that no further group is begun: a calibration takes under two minutes."""
_GPU_SIZES = [4096 * 4**power for power in range(9)]
"""4 KiB to 256 MiB: from one token's hidden vector to a long prompt's."""
_CPU_SIZES = [4096 * 4**power for power in range(6)]

Call = tuple[str, tuple[Any, ...]]
"""Name of a method of CalibrationRank, and its arguments."""


class WorkerFailed(DeployFailed):
    """A worker did not do what it was asked; its message is the reason."""


class Workers(Protocol):
    """The workers of a calibration, by number. An answer that comes too late ends the worker."""

    def ask(self, calls: Mapping[int, Call], deadline_s: float) -> dict[int, Any]:
        """Call a method on several workers at once; raises WorkerFailed naming the first that failed."""


@dataclass
class _Course:
    """What was measured so far."""

    workers: Workers
    spots: Sequence[Spot]
    on_gpu: bool
    progress: Callable[[str], None]
    began_s: float = field(default_factory=time.monotonic)
    links: list[LinkMeasurement] = field(default_factory=list)
    rates: list[GpuMeasurement] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: set[int] = field(default_factory=set)


def measure(
    workers: Workers,
    spots: Sequence[Spot],
    *,
    on_gpu: bool,
    title: str,
    skipped: Sequence[str] = (),
    progress: Callable[[str], None] = lambda message: None,
) -> Calibration:
    """Return what `spots` achieve; worker n is on spots[n] and prepared. `skipped` was left out before."""
    course = _Course(workers, spots, on_gpu, progress, skipped=list(skipped))
    software = str(workers.ask({0: ("software", ())}, _RATES_S)[0])
    for gpu_type in dict.fromkeys(spot.gpu_type for spot in spots):
        _measure_rates(course, gpu_type)
    for group in groups_among(spots):
        _measure_group(course, group)
    by_node: dict[str, tuple[str, ...]] = {}
    for spot in spots:
        by_node[spot.node_name] = (*by_node.get(spot.node_name, ()), spot.gpu_uuid)
    return Calibration(
        cluster=title,
        simulated=not on_gpu,
        measured_at_s=time.time(),
        duration_s=time.monotonic() - course.began_s,
        software=software,
        links=tuple(course.links),
        rates=tuple(course.rates),
        gpus_by_node=by_node,
        skipped=tuple(course.skipped),
    )


def _measure_rates(course: _Course, gpu_type: str) -> None:
    numbers = [number for number, spot in enumerate(course.spots) if spot.gpu_type == gpu_type]
    # All at once, as they run when they serve; simulated ones would share this machine's cores.
    numbers = numbers if course.on_gpu else numbers[:1]
    course.progress(f"memory and matrix products on {len(numbers)} x {gpu_type}")
    try:
        found = course.workers.ask(dict.fromkeys(numbers, ("rates", ())), _RATES_S)
        course.rates.append(_combined(course, gpu_type, numbers, list(found.values())))
    except (ClusterviewError, ValueError) as error:
        course.failed.update(numbers)
        course.skipped.append(f"rates of {gpu_type}: {error}")


def _combined(course: _Course, gpu_type: str, numbers: Sequence[int], found: Sequence[Any]) -> GpuMeasurement:
    memory = [rates for rates, _, _ in found]
    products = [rates for _, rates, _ in found]
    weights = statistics.median(one["weights"] for one in memory)
    flops = {
        dtype: statistics.median(one[dtype] for one in products)
        for dtype in products[0]
        if all(dtype in one for one in products)
    }
    return GpuMeasurement(
        rate=MeasuredRate(gpu_type=gpu_type, memory_bytes_per_s=weights, flops_per_s=flops),
        gpus=tuple(course.spots[number].gpu_uuid for number in numbers),
        copy_bytes_per_s=statistics.median(one["copy"] for one in memory),
        read_bytes_per_s=statistics.median(one["read"] for one in memory),
        slowest_share=min(one["weights"] for one in memory) / weights,
        absent=found[0][2],
    )


def _measure_group(course: _Course, group: Group) -> None:
    where = describe_group(group, course.spots)
    left_s = _MOST_S - (time.monotonic() - course.began_s)
    if course.failed & set(group.members):
        course.skipped.append(f"{where}: a rank of it failed before")
    elif left_s < _GROUP_S / 3:
        course.skipped.append(f"{where}: out of time")
    else:
        course.progress(f"all-reduce over {where}")
        try:
            course.links.append(_reduced(course, group, min(_GROUP_S, left_s)))
        except (ClusterviewError, ValueError) as error:
            course.failed.update(group.members)
            course.skipped.append(f"{where}: {error}")


def _reduced(course: _Course, group: Group, deadline_s: float) -> LinkMeasurement:
    first, num_ranks = group.members[0], len(group.members)
    sizes = _GPU_SIZES if course.on_gpu else _CPU_SIZES
    meeting = course.workers.ask({first: ("open_meeting", ())}, deadline_s)[first]
    calls = {
        number: ("all_reduce", (meeting, rank, num_ranks, sizes, deadline_s))
        for rank, number in enumerate(group.members)
    }
    found = course.workers.ask(calls, deadline_s)
    # An all-reduce has ended when its last rank has.
    slowest = [max(seconds) for seconds in zip(*found.values(), strict=True)]
    times = tuple(ReduceTime(message_bytes=size, seconds=s) for size, s in zip(sizes, slowest, strict=True))
    latency_s, bandwidth, error = fit_all_reduce(times, num_ranks)
    members = [course.spots[number] for number in group.members]
    return LinkMeasurement(
        link=MeasuredLink(
            scope=group.scope,
            num_ranks=num_ranks,
            latency_s=latency_s,
            bandwidth_bytes_per_s=bandwidth,
            kind=group.kind,
            gpu_type=group.gpu_type,
            library="nccl" if course.on_gpu else "gloo",
        ),
        gpus=tuple(spot.gpu_uuid for spot in members),
        nodes=tuple(dict.fromkeys(spot.node_name for spot in members)),
        times=times,
        fit_error=error,
    )


def describe_group(group: Group, spots: Sequence[Spot]) -> str:
    """Return a group as text: '8 x L4 on node-0 (pcie)'."""
    nodes = list(dict.fromkeys(spots[number].node_name for number in group.members))
    named = nodes[0] if len(nodes) == 1 else f"{len(nodes)} nodes"
    return f"{len(group.members)} x {group.gpu_type} on {named} ({group.kind.replace('_', ' ')})"
