"""When to re-send the inventory: whether it differs enough from the last one sent."""

from __future__ import annotations

from cluster.gpu_health import Health
from cluster.inventory import Cluster, Gpu, Node

_NOTICEABLE_SHARE = 0.01
_NOTICEABLE_SLOWDOWN = 0.05
_JUDGED_APART = {"memory_free_bytes": None, "processes": (), "health": None}


def is_worth_sending(sent: Cluster | None, seen: Cluster) -> bool:
    """True when nodes, GPUs, claims or health changed, or free memory moved by more than 1 % of a GPU."""
    if sent is None or len(sent.nodes) != len(seen.nodes) or sent.source != seen.source:
        return True
    if sent.measured_at_s != seen.measured_at_s or sent.measured_links != seen.measured_links:
        return True
    return any(node_changed(before, after) for before, after in zip(sent.nodes, seen.nodes, strict=True))


def node_changed(before: Node, after: Node) -> bool:
    """True when a node differs by more than figures that always move; at once for the same object."""
    if before is after:
        return False
    if {**vars(before), "gpus": ()} != {**vars(after), "gpus": ()} or len(before.gpus) != len(after.gpus):
        return True
    return any(_gpu_changed(old, new) for old, new in zip(before.gpus, after.gpus, strict=True))


def _gpu_changed(before: Gpu, after: Gpu) -> bool:
    if before is after:
        return False
    if {**vars(before), **_JUDGED_APART} != {**vars(after), **_JUDGED_APART}:
        return True
    if not _same_health(before.health, after.health):
        return True
    old, new = before.memory_free_bytes, after.memory_free_bytes
    if old is None or new is None:
        return old is not new
    return abs(old - new) > _NOTICEABLE_SHARE * (after.memory_total_bytes or 1)


def same_verdicts(before: Node, after: Node) -> bool:
    """True when the same things are found wrong with each GPU, whatever the figures are by now."""
    return before is after or all(
        old.unhealthy_reason == new.unhealthy_reason and _same_health(old.health, new.health)
        for old, new in zip(before.gpus, after.gpus, strict=True)
    )


def _same_health(before: Health | None, after: Health | None) -> bool:
    if before is after:
        return True
    if before is None or after is None or before.state != after.state:
        return False
    if [one.code for one in before.findings] != [one.code for one in after.findings]:
        return False
    old, new = vars(before.slowdown), vars(after.slowdown)
    return all(abs(old[rate] - new[rate]) <= _NOTICEABLE_SLOWDOWN for rate in old)
