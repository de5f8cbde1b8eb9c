"""Ways to divide training state, and what each of them sends, in words."""

from __future__ import annotations

from cluster.planner.memory.training_memory import Sharding
from cluster.planner.training.step import Step
from cluster.units import format_duration, format_gib

SHARDINGS: tuple[Sharding, ...] = ("ddp", "zero1", "zero2", "zero3")
NAMES: dict[Sharding, str] = {"ddp": "DDP", "zero1": "ZeRO-1", "zero2": "ZeRO-2", "zero3": "ZeRO-3 (FSDP)"}
_DIVIDED: dict[Sharding, str] = {
    "ddp": "every rank keeps all of its parameters, gradients and optimizer state",
    "zero1": "optimizer state divided over the data-parallel ranks",
    "zero2": "gradients and optimizer state divided over the data-parallel ranks",
    "zero3": "parameters, gradients and optimizer state divided over the data-parallel ranks",
}


def describe_sharding(sharding: Sharding) -> str:
    """Say how the state is divided: 'ZeRO-1: optimizer state divided over the data-parallel ranks'."""
    return f"{NAMES[sharding]}: {_DIVIDED[sharding]}"


def describe_exchange(step: Step) -> str:
    """Say what a rank exchanges with its like in the other replicas every step, and how long that takes."""
    if step.num_replicas == 1:
        return "one replica: no gradients to exchange"
    size = format_gib(step.gradient_bytes)
    sent = {
        "ddp": f"{size} of gradients all-reduced",
        "zero1": f"{size} of gradients reduce-scattered and as much of parameters all-gathered",
        "zero2": f"{size} of gradients reduce-scattered and as much of parameters all-gathered",
        "zero3": f"{size} of parameters all-gathered twice and as much of gradients reduce-scattered",
    }[step.sharding]
    took = format_duration(step.exchange_time_s)
    return f"{sent} over {step.num_replicas} ranks every step, about {took}; {NAMES[step.sharding]}"


def describe_communication(step: Step) -> str:
    """Say the same in the imperative, against the all-reduce of plain data parallelism."""
    if step.num_replicas == 1:
        return "all-reduce gradients (one replica: none)"
    size, took = format_gib(step.gradient_bytes), format_duration(step.exchange_time_s)
    match step.sharding:
        case "ddp":
            return f"all-reduce {size} of gradients every step, about {took}"
        case "zero3":
            return (
                f"all-gather {size} of parameters twice and reduce-scatter as much of gradients every step, "
                f"about {took} (1.5 times what an all-reduce of the gradients sends)"
            )
        case _:
            return (
                f"reduce-scatter {size} of gradients and all-gather as much of parameters every step, "
                f"about {took} (what an all-reduce of the gradients sends)"
            )


def exchanged(step: Step) -> str:
    """Name what goes between replicas: 'gradients', 'gradients and parameters' or 'nothing'."""
    if step.num_replicas == 1:
        return "nothing"
    return "gradients" if step.sharding == "ddp" else "gradients and parameters"
