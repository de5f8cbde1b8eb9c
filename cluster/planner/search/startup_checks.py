"""The engine's memory fraction if the user set none: lowered to what is free."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.catalog.engine_profile import EngineProfile
from cluster.planner.launch import Launch
from cluster.planner.memory import ReplicaMemory
from cluster.planner.memory.budget import startup_free_bytes
from cluster.planner.replica import RankGpu
from cluster.planner.rules import late_bytes

LEAST_UTILIZATION = 0.1
"""Smaller fractions of a GPU are only planned if the user sets them."""
_START_MARGIN_BYTES = 256 * 1024**2
"""Left free next to the fraction, for changes between the reading and the start."""


def launch_beside_others(engine: EngineProfile, launch: Launch, gpus: Sequence[RankGpu]) -> Launch:
    """Lower the memory fraction to what is free if the engine would otherwise refuse to start."""
    for gpu in gpus:
        if gpu.free_bytes < startup_free_bytes(engine, launch, gpu):
            usable = max(1, gpu.usable_total_bytes)
            launch = _lowered(launch, int((gpu.free_bytes - _START_MARGIN_BYTES) * 100 / usable))
    return launch


def leaving_room_for_graphs(memory: ReplicaMemory) -> Launch:
    """Lower the memory fraction if CUDA graphs captured after sizing the cache would not fit."""
    replica, launch = memory.replica, memory.replica.launch
    for rank, taken in zip(replica.ranks, memory.ranks, strict=True):
        late = late_bytes(replica.engine, taken, rank.gpu)
        if late:
            usable = max(1, rank.gpu.usable_total_bytes)
            launch = _lowered(launch, int(100 * (launch.gpu_memory_utilization - late / usable)))
    return launch


def _lowered(launch: Launch, hundredths: int) -> Launch:
    """Return the launch at this fraction in hundredths; unchanged if that is too little."""
    fraction = hundredths / 100
    return launch.at_utilization(fraction) if fraction >= LEAST_UTILIZATION else launch
