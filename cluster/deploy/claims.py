"""Claiming exactly the GPUs that a plan names.

Ray hands out GPUs by number of its own choosing, and only a process already placed can tell which it got. So
one-GPU placement groups are opened on the node, each with a rank's process in it, until the wanted GPUs are
among them; the others are given back. The processes stay: they become the ranks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from cluster.deploy.names import GROUP_PREFIX, group_prefix
from cluster.errors import DeployFailed

_LOOK_S = 0.1
_NODE_ID_LABEL = "ray.io/node-id"


@dataclass
class Slot:
    """A placement group of one GPU and the rank process in it."""

    group: Any
    actor: Any
    gpu_index: int | None = None


MakeActor = Callable[[Any], Any]
"""Makes a rank actor in a placement group."""


def slots_to_open(wanted: Collection[int], held: Collection[int], num_free: int) -> int:
    """Return how many more slots to open on a node; 0 when all wanted are held or no GPU is left to try."""
    missing = len(set(wanted) - set(held))
    return min(missing, num_free)


class NodeClaim:
    """The claim of some GPUs of one node."""

    def __init__(
        self, ray: Any, deployment: str, node_id: str, node_name: str, make_actor: MakeActor
    ) -> None:
        self._ray, self._deployment = ray, deployment
        self._node_id, self._node_name = node_id, node_name
        self._make_actor = make_actor
        self._slots: list[Slot] = []

    def take(self, wanted: Collection[int], deadline_s: float) -> dict[int, Slot]:
        """Hold the wanted GPUs, by index, or none; raises DeployFailed that says which could not be had."""
        until_s = time.monotonic() + deadline_s
        try:
            num_free = self._await_free(len(set(wanted)), until_s)
            while num := slots_to_open(wanted, self._held(), num_free):
                self._open(num, until_s)
                num_free -= num
            self._check(wanted)
        except BaseException:
            self.release(self._slots)
            raise
        kept = {slot.gpu_index: slot for slot in self._slots if slot.gpu_index in set(wanted)}
        self.release([slot for slot in self._slots if slot.gpu_index not in kept])
        return {index: slot for index, slot in kept.items() if index is not None}

    def _held(self) -> set[int]:
        return {slot.gpu_index for slot in self._slots if slot.gpu_index is not None}

    def _await_free(self, num_wanted: int, until_s: float) -> int:
        """GPUs of a deployment just stopped take a moment to be free again."""
        while (num_free := self._num_free()) < num_wanted:
            if time.monotonic() > until_s:
                raise DeployFailed(
                    f"{self._node_name} has {num_free} GPUs free in Ray, {num_wanted} are needed",
                    "Another Ray job holds the others: stop it, or plan again",
                )
            time.sleep(_LOOK_S)
        return num_free

    def _num_free(self) -> int:
        from ray._private.state import available_resources_per_node

        return int(available_resources_per_node().get(self._node_id, {}).get("GPU", 0))

    def _open(self, num: int, until_s: float) -> None:
        from ray.util.placement_group import placement_group

        opened = []
        for _ in range(num):
            group = placement_group(
                [{"GPU": 1}],
                bundle_label_selector=[{_NODE_ID_LABEL: self._node_id}],
                name=f"{group_prefix(self._deployment)}{self._node_name}/{len(self._slots)}",
                lifetime="detached",
            )
            slot = Slot(group, self._make_actor(group))
            self._slots.append(slot)
            opened.append(slot)
        answers = [slot.actor.where.remote() for slot in opened]
        left_s = max(1.0, until_s - time.monotonic())
        _, late = self._ray.wait(answers, num_returns=len(answers), timeout=left_s)
        if late:
            raise DeployFailed(f"{len(late)} of {num} GPUs of {self._node_name} could not be claimed in time")
        for slot, answer in zip(opened, answers, strict=True):
            slot.gpu_index = self._ray.get(answer)[1][0]

    def _check(self, wanted: Collection[int]) -> None:
        missing = sorted(set(wanted) - self._held())
        if missing:
            named = ", ".join(str(index) for index in missing)
            raise DeployFailed(
                f"GPU {named} of {self._node_name} is held by another Ray job",
                "Stop that job, or plan on other GPUs",
            )

    def release(self, slots: Collection[Slot]) -> None:
        """Give slots back to Ray."""
        for slot in slots:
            release_slot(self._ray, slot)


def release_slot(ray: Any, slot: Slot) -> None:
    """End a slot's process and free its GPU."""
    from ray.util.placement_group import remove_placement_group

    if slot.actor is not None:
        ray.kill(slot.actor, no_restart=True)
    remove_placement_group(slot.group)


def groups_of(ray: Any, deployment: str) -> list[str]:
    """Return the ids of the placement groups that a deployment still holds, in whatever namespace."""
    prefix = group_prefix(deployment)
    return [group_id for group_id, name in all_groups(ray).items() if name.startswith(prefix)]


def all_groups(ray: Any) -> dict[str, str]:
    """Return id -> name of every placement group of ours that is not removed."""
    table = ray.util.placement_group_table()
    return {
        group_id: entry["name"]
        for group_id, entry in table.items()
        if entry["name"].startswith(GROUP_PREFIX) and entry["state"] != "REMOVED"
    }


def remove_groups(ray: Any, group_ids: Collection[str], deadline_s: float) -> bool:
    """Remove placement groups by id, with what runs in them; True when all are gone in time."""
    from ray._raylet import PlacementGroupID
    from ray.util.placement_group import PlacementGroup, remove_placement_group

    for group_id in group_ids:
        remove_placement_group(PlacementGroup(PlacementGroupID(bytes.fromhex(group_id))))
    until_s = time.monotonic() + deadline_s
    while set(group_ids) & all_groups(ray).keys():
        if time.monotonic() > until_s:
            return False
        time.sleep(_LOOK_S)
    return True
