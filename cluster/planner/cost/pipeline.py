"""Pipeline timing: latency of one pass through all stages, and time until the next pass can start."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.planner.cost.collective import send_time_s
from cluster.planner.cost.replica_work import ReplicaWork
from cluster.planner.cost.roofline import Load, StageTime, stage_time


@dataclass(frozen=True, slots=True)
class PassTime:
    """One micro-batch's pass through the stages."""

    latency_s: float
    """Sum over all stages and sends."""
    slowest_s: float
    """The stage that paces the pipeline."""
    slowest: StageTime


def pass_time(replica: ReplicaWork, load: Load) -> PassTime:
    """Return the time of one micro-batch through all stages. Stages with the same work are timed once."""
    times: dict[int, StageTime] = {}
    total_s, paced = 0.0, None
    for work in replica.stages:
        found = times.get(id(work))
        if found is None:
            found = times[id(work)] = stage_time(
                work, load, replica.group, replica.rates, eager=replica.eager
            )
        total_s += found.total_s
        if paced is None or found.total_s > paced.total_s:
            paced = found
    assert paced is not None  # a layout has at least one stage
    sent_s = _sends(replica, load)
    hop_s = sent_s / max(1, len(replica.stages) - 1)
    return PassTime(total_s + sent_s, paced.total_s + hop_s, paced)


def _sends(replica: ReplicaWork, load: Load) -> float:
    if replica.stage_link is None:
        return 0.0
    message = (load.sequences + load.prompt_tokens) * replica.stages[0].hidden_bytes_per_token
    return (len(replica.stages) - 1) * send_time_s(message, replica.stage_link)


def with_host(gpu_s: float, host_s: float, overlap: float) -> float:
    """Combine GPU and host time of a step: `overlap` of the shorter one is hidden behind the longer."""
    return max(gpu_s, host_s) + (1.0 - overlap) * min(gpu_s, host_s)


def cycle_time_s(single: PassTime, micro_batches: int) -> float:
    """Return the time in which each of `micro_batches` gets one step: paced by the slowest stage, or by the
    pass through all stages if there are too few micro-batches to fill them (pipeline bubbles)."""
    return max(single.latency_s, micro_batches * single.slowest_s)
