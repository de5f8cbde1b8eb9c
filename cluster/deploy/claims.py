"""Claim exactly the GPUs of a plan.

Ray hands out GPUs by number of its own choosing, and only a process already placed can tell which it got. So
one-GPU placement groups are opened on the node, each with a process in it, until the wanted GPUs are among
them; the others are given back. The processes stay: they become the ranks, or one of them a node's agent.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Protocol

from cluster.deploy.names import GROUP_PREFIX, group_prefix
from cluster.deploy.stuck import StuckWatch, Suspicion
from cluster.errors import DeployFailed

_LOOK_S = 0.2
_COMING_FREE_S = 15.0
_UNPLACED_S = 10.0
_NODE_ID_LABEL = "ray.io/node-id"


@dataclass
class Slot:
    """A placement group of one GPU and the process in it, if any."""

    group: Any
    actor: Any
    answer: Any = None
    """The pending answer on which GPU the process is; None once it arrived."""
    opened_at_s: float = 0.0
    gpu_index: int | None = None
    watch: StuckWatch | None = None


class MakesActors(Protocol):
    """What makes the processes of slots."""

    @property
    def title(self) -> str:
        """How the command line of such a process starts."""

    def make(self, ray: Any, group: Any) -> Any:
        """Return an actor in a placement group of one GPU."""


def slots_to_open(wanted: Collection[int], held: Collection[int], num_free: int) -> int:
    """Return how many more slots to open on a node; 0 if all wanted GPUs are held or none is left to try."""
    missing = len(set(wanted) - set(held))
    return min(missing, num_free)


class NodeClaim:
    """The claim of some GPUs of one node."""

    def __init__(
        self,
        ray: Any,
        deployment: str,
        node_id: str,
        node_name: str,
        kind: MakesActors,
        *,
        is_called_off: Callable[[], bool] = lambda: False,
    ) -> None:
        self._ray, self._deployment = ray, deployment
        self._node_id, self._node_name = node_id, node_name
        self._kind, self._is_called_off = kind, is_called_off
        self._slots: list[Slot] = []

    def take(self, wanted: Collection[int], deadline_s: float) -> dict[int, Slot]:
        """Claim the wanted GPUs, by index, or none; raises DeployFailed naming what it could not claim."""
        try:
            self._hold(set(wanted), time.monotonic() + deadline_s)
        except BaseException:
            self.release(self._slots)
            raise
        kept = {slot.gpu_index: slot for slot in self._slots if slot.gpu_index in set(wanted)}
        self.release([slot for slot in self._slots if slot.gpu_index not in kept])
        return {index: slot for index, slot in kept.items() if index is not None}

    def _hold(self, wanted: set[int], until_s: float) -> None:
        """Open slots until all wanted GPUs are among them."""
        stuck_since_s: float | None = None
        while missing := wanted - self._held():
            pending = self._hear()
            if wanted <= self._held():
                return
            num = 0 if pending else slots_to_open(wanted, self._held(), self._num_free())
            for _ in range(num):
                self._open()
            # GPUs of a deployment that just ended take a moment to become free.
            is_stuck = not pending and num == 0
            stuck_since_s = (stuck_since_s or time.monotonic()) if is_stuck else None
            if stuck_since_s is not None and time.monotonic() - stuck_since_s > _COMING_FREE_S:
                raise self._not_had(missing)
            if self._is_called_off():
                raise DeployFailed("stopped before its GPUs were claimed")
            if time.monotonic() > until_s:
                raise self._too_late(missing)
            if not (pending or num):
                time.sleep(_LOOK_S)

    def _not_had(self, missing: Collection[int]) -> DeployFailed:
        return DeployFailed(
            f"GPU {_named(missing)} on {self._node_name} is held by another Ray job",
            "Stop that job, or plan on other GPUs",
        )

    def _too_late(self, missing: Collection[int]) -> DeployFailed:
        return DeployFailed(
            f"GPU {_named(missing)} on {self._node_name} was not claimed in time: Ray was too slow to start "
            "a process on it",
            "Check the load of the node and how long its Python takes to start",
        )

    def _held(self) -> set[int]:
        return {slot.gpu_index for slot in self._slots if slot.gpu_index is not None}

    def _num_free(self) -> int:
        from ray._private.state import available_resources_per_node

        return int(available_resources_per_node().get(self._node_id, {}).get("GPU", 0))

    def _open(self) -> None:
        from ray.util.placement_group import placement_group

        group = placement_group(
            [{"GPU": 1}],
            bundle_label_selector=[{_NODE_ID_LABEL: self._node_id}],
            # Ray accepts a name only once, and a recently removed one still counts.
            name=f"{group_prefix(self._deployment)}{self._node_name}/{secrets.token_hex(4)}",
            lifetime="detached",
        )
        actor = self._kind.make(self._ray, group)
        watch = StuckWatch(self._ray, self._kind.title, Suspicion(hung_s=None))
        self._slots.append(Slot(group, actor, actor.where.remote(), time.monotonic(), watch=watch))

    def _hear(self) -> bool:
        """Record which GPU each process is on; True while some have not answered."""
        pending = {slot.answer: slot for slot in self._slots if slot.answer is not None}
        if not pending:
            return False
        ready, late = self._ray.wait(list(pending), num_returns=len(pending), timeout=_LOOK_S)
        for ref in ready:
            slot = pending[ref]
            slot.answer, slot.gpu_index = None, self._ray.get(ref)[1][0]
        for ref in late:
            self._drop_unplaced(pending[ref])
            self._drop_stuck(pending[ref])
        return bool(late)

    def _drop_stuck(self, slot: Slot) -> None:
        """Give up a slot whose process started but does not answer; another one is opened instead."""
        silent_s = time.monotonic() - slot.opened_at_s
        if slot in self._slots and slot.watch is not None and slot.watch.look(slot.actor, silent_s):
            self.release([slot])
            self._slots.remove(slot)

    def _drop_unplaced(self, slot: Slot) -> None:
        """Give up a slot that Ray has no GPU for: another job took the free GPU meanwhile."""
        if time.monotonic() - slot.opened_at_s > _UNPLACED_S and not self._is_placed(slot):
            self.release([slot])
            self._slots.remove(slot)

    def _is_placed(self, slot: Slot) -> bool:
        """Whether Ray has reserved the GPU. The group's own `wait(0)` always says no: it does not wait."""
        entry = self._ray.util.placement_group_table(slot.group)
        return bool(entry.get("state") == "CREATED")

    def release(self, slots: Collection[Slot]) -> None:
        """Give slots back to Ray."""
        for slot in slots:
            release_slot(self._ray, slot)


def _named(indices: Collection[int]) -> str:
    return ", ".join(str(index) for index in sorted(indices))


def release_slot(ray: Any, slot: Slot) -> None:
    """End a slot's process and free its GPU."""
    from ray.util.placement_group import remove_placement_group

    if slot.actor is not None:
        ray.kill(slot.actor, no_restart=True)
    remove_placement_group(slot.group)


def groups_of(ray: Any, deployment: str) -> list[str]:
    """Return the ids of the placement groups that a deployment still holds, in any namespace."""
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
