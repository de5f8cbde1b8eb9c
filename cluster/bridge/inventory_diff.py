"""When to re-send the inventory: whether it differs enough from the last one sent."""

from __future__ import annotations

from cluster.inventory import Cluster, Gpu, Node

_NOTICEABLE_SHARE = 0.01
_NOTICEABLE_SLOWDOWN = 0.05
_APART = {"memory_free_bytes": None, "processes": (), "health": None}
"""Fields of a GPU that are compared by themselves, or change without anything being new."""


def is_worth_sending(sent: Cluster | None, seen: Cluster, *, with_texts: bool = False) -> bool:
    """True when nodes, GPUs, claims or health changed, or free memory moved by more than 1 % of a GPU.

    `with_texts` counts the figures in the texts of findings too, which move on.
    """
    if sent is None or len(sent.nodes) != len(seen.nodes) or sent.source != seen.source:
        return True
    if sent.measured_at_s != seen.measured_at_s or sent.measured_links != seen.measured_links:
        return True
    pairs = zip(sent.nodes, seen.nodes, strict=True)
    return any(node_changed(before, after, with_texts=with_texts) for before, after in pairs)


def node_changed(before: Node, after: Node, *, with_texts: bool = False) -> bool:
    """True when a node differs by more than figures that always move; at once for the same object."""
    if before is after:
        return False
    if {**vars(before), "gpus": ()} != {**vars(after), "gpus": ()} or len(before.gpus) != len(after.gpus):
        return True
    return any(
        _gpu_changed(old, new) or (with_texts and old.health != new.health)
        for old, new in zip(before.gpus, after.gpus, strict=True)
    )


def _gpu_changed(before: Gpu, after: Gpu) -> bool:
    if before is after:
        return False
    if {**vars(before), **_APART} != {**vars(after), **_APART} or not _same_health(before, after):
        return True
    old, new = before.memory_free_bytes, after.memory_free_bytes
    if old is None or new is None:
        return old is not new
    return abs(old - new) > _NOTICEABLE_SHARE * (after.memory_total_bytes or 1)


def _same_health(before: Gpu, after: Gpu) -> bool:
    """True when the same things are found wrong, and slow the GPU down as much."""
    old, new = before.health, after.health
    if old is new:
        return True
    if old is None or new is None or old.state != new.state:
        return False
    if [one.code for one in old.findings] != [one.code for one in new.findings]:
        return False
    rates, later = vars(old.slowdown), vars(new.slowdown)
    return all(abs(rates[rate] - later[rate]) <= _NOTICEABLE_SLOWDOWN for rate in rates)
