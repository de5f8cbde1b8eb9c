"""The ways to shard training state and what each of them sends, as text."""

from __future__ import annotations

from cluster.planner.memory.training_memory import Sharding
from cluster.planner.training.step import Step
from cluster.units import format_duration, format_gib

SHARDINGS: tuple[Sharding, ...] = ("ddp", "zero1", "zero2", "zero3")
NAMES: dict[Sharding, str] = {"ddp": "DDP", "zero1": "ZeRO-1", "zero2": "ZeRO-2", "zero3": "ZeRO-3 (FSDP)"}
_DIVIDED: dict[Sharding, str] = {
    "ddp": "every rank keeps all of its parameters, gradients and optimizer state",
    "zero1": "optimizer state sharded over the data-parallel ranks",
    "zero2": "gradients and optimizer state sharded over the data-parallel ranks",
    "zero3": "parameters, gradients and optimizer state sharded over the data-parallel ranks",
}


def describe_sharding(sharding: Sharding) -> str:
    """Describe how the state is sharded: 'ZeRO-1: optimizer state sharded over the data-parallel ranks'."""
    return f"{NAMES[sharding]}: {_DIVIDED[sharding]}"


def describe_exchange(step: Step) -> str:
    """Describe what a rank exchanges with its peers in other replicas each step, and how long it takes."""
    if step.num_replicas == 1:
        return "one replica: no gradients to exchange"
    size = format_gib(step.gradient_bytes)
    sent = {
        "ddp": f"{size} of gradients all-reduced",
        "zero1": f"{size} of gradients reduce-scattered and {size} of parameters all-gathered",
        "zero2": f"{size} of gradients reduce-scattered and {size} of parameters all-gathered",
        "zero3": f"{size} of parameters all-gathered twice and {size} of gradients reduce-scattered",
    }[step.sharding]
    took = format_duration(step.exchange_time_s)
    return f"{sent} over {step.num_replicas} ranks each step, about {took} ({NAMES[step.sharding]})"


def describe_communication(step: Step) -> str:
    """Describe the same for the comparison, against the all-reduce of plain data parallelism."""
    if step.num_replicas == 1:
        return "none (one replica: no gradients to exchange)"
    size, took = format_gib(step.gradient_bytes), format_duration(step.exchange_time_s)
    match step.sharding:
        case "ddp":
            return f"all-reduce {size} of gradients each step, about {took}"
        case "zero3":
            return (
                f"all-gather {size} of parameters twice and reduce-scatter {size} of gradients each step, "
                f"about {took} (1.5x the traffic of a gradient all-reduce)"
            )
        case _:
            return (
                f"reduce-scatter {size} of gradients and all-gather {size} of parameters each step, "
                f"about {took} (same traffic as a gradient all-reduce)"
            )


def exchanged(step: Step) -> str:
    """Return what replicas exchange: 'gradients', 'gradients and parameters' or 'nothing'."""
    if step.num_replicas == 1:
        return "nothing"
    return "gradients" if step.sharding == "ddp" else "gradients and parameters"
