"""The change of a deployment's number of replicas while the others serve: one change at a time.

New replicas claim their GPUs in a thread of their own, start like all others, and take requests once proven.
Those that end take no new requests, finish the ones in flight within a deadline, and free their GPUs.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.deploy.claim_order import claimed_nodes
from cluster.deploy.claims import Slot, release_slot
from cluster.deploy.order_board import post_order
from cluster.deploy.rank_report import RankStep
from cluster.deploy.replica_group import ReplicaGroup, process_ended
from cluster.deploy.resized import replicas_of, without_replicas
from cluster.deploy.scaling_status import ScalingStatus
from cluster.deploy.spec import DeploymentSpec, RankPlace
from cluster.errors import BadInput, ClusterviewError, DeployFailed

ORDERLY_S = 3.0
SERVERS_END_S = 20.0
"""A server may take its patience to end, and its guard a few seconds to end the rest."""
_CALLED_OFF_S = 20.0
_ENDED = (RankStep.STOPPED, RankStep.FAILED)


@dataclass
class _Leaving:
    """A replica that is to end."""

    group: ReplicaGroup
    drain_until_s: float
    end_until_s: float | None = None
    """Set once its processes were told to end."""


class Scaling:
    """Adds replicas to `groups`, a list shared with the controller, and takes them out. Guarded by `lock`."""

    def __init__(
        self,
        ray: Any,
        spec: DeploymentSpec,
        groups: list[ReplicaGroup],
        lock: threading.Lock,
        is_called_off: Callable[[], bool],
    ) -> None:
        self.spec = spec
        """The order as it is now; during a growth with the new replicas."""
        self._ray, self._groups, self._lock, self._is_called_off = ray, groups, lock, is_called_off
        self._leaving: list[_Leaving] = []
        self._failed: list[str] = []
        self._claim: threading.Thread | None = None
        self._claim_error = ""
        self._status: ScalingStatus | None = None

    def begin(self, spec: DeploymentSpec, drain_s: float) -> int:
        """Start the change to the replicas of `spec`, and return its number. Returns at once.

        Raises DeployFailed while another change is under way, BadInput for an order that does not follow from
        the present one.
        """
        with self._lock:
            if self._status is not None and not self._status.is_over:
                words = f"it is being scaled to {self._status.replicas} replicas"
                raise DeployFailed(f"{spec.name}: {words}", "Try again when that is done")
            now, wanted = set(self.spec.ranks), set(spec.ranks)
            if not wanted or not (now < wanted or wanted < now):
                raise BadInput(f"{spec.name} has changed since it was looked at", "Try again")
            number = self._status.number + 1 if self._status is not None else 1
            self._status = ScalingStatus(
                number=number,
                replicas=spec.layout.num_replicas,
                before=self.spec.layout.num_replicas,
            )
            self._failed, self._claim_error = [], ""
            if now < wanted:
                self._grow(spec)
            else:
                self._shrink(spec, drain_s)
            return number

    def _grow(self, spec: DeploymentSpec) -> None:
        new = [number for number in replicas_of(spec) if number not in replicas_of(self.spec)]
        added = [ReplicaGroup(self._ray, spec, number) for number in new]
        for group in added:
            group.joining = True
        self._groups[:] = sorted([*self._groups, *added], key=lambda group: group.replica)
        self.spec = spec
        places = [place for place in spec.ranks if place.replica in new]
        self._claim = threading.Thread(
            target=self._claim_gpus, args=(spec, places, added), name="claim", daemon=True
        )
        self._claim.start()

    def _claim_gpus(
        self, spec: DeploymentSpec, places: Sequence[RankPlace], groups: Sequence[ReplicaGroup]
    ) -> None:
        """Claim all new GPUs, or none of them. Runs in a thread of its own: the others are looked after."""
        held: dict[str, dict[int, Slot]] = {}
        try:
            for node_id, slots in claimed_nodes(self._ray, spec, places, self._is_called_off):
                held[node_id] = slots
            with self._lock:
                for node_id, slots in held.items():
                    for group in groups:
                        group.take(node_id, slots)
        except Exception as error:
            sys.stderr.write(f"growth of {spec.name}: {error!r}\n")
            for slot in (slot for slots in held.values() for slot in slots.values()):
                release_slot(self._ray, slot)
            ours = isinstance(error, ClusterviewError)
            self._claim_error = error.one_line() if ours else process_ended(error)  # type: ignore[attr-defined]

    def _shrink(self, spec: DeploymentSpec, drain_s: float) -> None:
        # Kept first: a controller that is restarted meanwhile must not bring back what was to end.
        post_order(spec)
        kept = replicas_of(spec)
        until_s = time.monotonic() + max(0.0, drain_s)
        for group in self._groups:
            if group.replica not in kept:
                group.draining = True
                self._leaving.append(_Leaving(group, until_s))
        self.spec = spec

    def look(self, drained: Collection[int]) -> None:
        """Go on with the change, with the lock held. `drained`: replicas without requests in flight."""
        if self._status is None or self._status.is_over:
            return
        for group in [group for group in self._groups if group.joining]:
            self._look_at_joining(group)
        for leaving in list(self._leaving):
            self._look_at_leaving(leaving, leaving.group.replica in drained)
        if not self._leaving and not any(group.joining for group in self._groups):
            self._finish()

    def _look_at_joining(self, group: ReplicaGroup) -> None:
        trouble = group.given_up or (self._claim_error if not group.has_gpus else "")
        if trouble:
            self._failed.append(f"replica {group.replica}: {trouble}")
            assert self._status is not None
            self._status = self._status.model_copy(update={"last_log": group.last_log})
            self._remove(group, trouble)
            self.spec = without_replicas(self.spec, {group.replica})
        elif group.proven:
            group.joining = False

    def _look_at_leaving(self, leaving: _Leaving, is_drained: bool) -> None:
        group, now_s = leaving.group, time.monotonic()
        view = group.look()
        has_ended = all(rank.step in _ENDED for rank in view.ranks)
        if leaving.end_until_s is None and not has_ended:
            if is_drained or not group.proven or now_s > leaving.drain_until_s:
                group.ask_to_stop()
                patience_s = ORDERLY_S if self.spec.server is None else SERVERS_END_S
                leaving.end_until_s = now_s + patience_s
        elif has_ended or (leaving.end_until_s is not None and now_s > leaving.end_until_s):
            self._leaving.remove(leaving)
            self._remove(group, "scaled down")

    def _remove(self, group: ReplicaGroup, reason: str) -> None:
        """End what is left of a replica and free its GPUs."""
        group.release(reason)
        self._groups.remove(group)

    def _finish(self) -> None:
        assert self._status is not None
        if self._claim is not None:
            # Also after a failed growth: what has become of it is what holds from now on.
            try:
                post_order(self.spec)
            except Exception as error:
                sys.stderr.write(f"the order of {self.spec.name} was not kept: {error!r}\n")
        self._claim = None
        self._status = self._status.model_copy(update={"is_over": True, "failure": "; ".join(self._failed)})

    def end(self) -> None:
        """Wait for a claim under way, which is called off when the deployment ends; without the lock."""
        claim = self._claim
        if claim is not None:
            claim.join(_CALLED_OFF_S)

    def status(self) -> ScalingStatus | None:
        """Return the change under way or the last one; None before the first."""
        return self._status

    def words(self, in_flight: dict[int, int]) -> str:
        """Return in one line what the change waits for; empty when none is under way."""
        if self._status is None or self._status.is_over:
            return ""
        steps = [*self._joining_words(), *(_leaving_words(one, in_flight) for one in self._leaving)]
        count = self._status.replicas
        return f"scaling to {count} {'replica' if count == 1 else 'replicas'}: {'; '.join(steps)}"

    def _joining_words(self) -> Iterable[str]:
        for group in self._groups:
            if group.joining:
                yield f"replica {group.replica} {'starts' if group.has_gpus else 'claims its GPUs'}"


def _leaving_words(leaving: _Leaving, in_flight: dict[int, int]) -> str:
    replica = leaving.group.replica
    if leaving.end_until_s is not None:
        return f"replica {replica} ends"
    left_s = max(0.0, leaving.drain_until_s - time.monotonic())
    return f"replica {replica} drains, {in_flight.get(replica, 0)} in flight, at most {left_s:.0f} s more"
