"""When to re-send the inventory: whether it differs enough from the last one sent."""

from __future__ import annotations

from cluster.inventory import Cluster, Gpu

_NOTICEABLE_SHARE = 0.01


def is_worth_sending(sent: Cluster | None, seen: Cluster) -> bool:
    """True when nodes, GPUs, claims or health changed, or free memory moved by more than 1 % of a GPU."""
    if sent is None or len(sent.nodes) != len(seen.nodes) or sent.source != seen.source:
        return True
    if sent.measured_at_s != seen.measured_at_s or sent.measured_links != seen.measured_links:
        return True
    for before, after in zip(sent.nodes, seen.nodes, strict=True):
        same = before.model_copy(update={"gpus": ()}) == after.model_copy(update={"gpus": ()})
        if not same or len(before.gpus) != len(after.gpus):
            return True
        if any(_gpu_changed(old, new) for old, new in zip(before.gpus, after.gpus, strict=True)):
            return True
    return False


def _gpu_changed(before: Gpu, after: Gpu) -> bool:
    ignored = {"memory_free_bytes": None, "processes": ()}
    if before.model_copy(update=ignored) != after.model_copy(update=ignored):
        return True
    old, new = before.memory_free_bytes, after.memory_free_bytes
    if old is None or new is None:
        return old is not new
    return abs(old - new) > _NOTICEABLE_SHARE * (after.memory_total_bytes or 1)
