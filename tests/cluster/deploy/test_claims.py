"""The claim protocol against a stand-in for Ray's ledger that hands out GPUs in whatever order it likes."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.deploy import claims
from cluster.deploy.actor_kind import ActorKind
from cluster.deploy.claims import NodeClaim, Slot, slots_to_open
from cluster.deploy.rank_actor import RankActor
from cluster.errors import DeployFailed


class Ledger:
    """One node's GPUs as Ray counts them."""

    def __init__(self, num_gpus: int, taken: set[int], seed: int) -> None:
        self.free = set(range(num_gpus)) - taken
        self._random = random.Random(seed)

    def give(self) -> int:
        index = self._random.choice(sorted(self.free))
        self.free.remove(index)
        return index


class LedgerClaim(NodeClaim):
    """A claim whose slots come from the ledger instead of placement groups."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(None, "d", "id", "node-1", ActorKind(RankActor))
        self._ledger = ledger

    def _num_free(self) -> int:
        return len(self._ledger.free)

    def _open(self) -> None:
        self._slots.append(Slot(None, None, gpu_index=self._ledger.give()))

    def _hear(self) -> bool:
        return False

    def release(self, slots: Any) -> None:
        self._ledger.free |= {slot.gpu_index for slot in slots}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "_LOOK_S", 0.0)
    monkeypatch.setattr(claims, "_COMING_FREE_S", 0.0)


@settings(deadline=None)
@given(num_gpus=st.integers(1, 8), data=st.data(), seed=st.integers(0, 999))
def test_a_claim_holds_exactly_what_is_wanted_or_nothing(
    num_gpus: int, data: st.DataObject, seed: int
) -> None:
    taken = data.draw(st.sets(st.integers(0, num_gpus - 1)))
    wanted = data.draw(st.sets(st.integers(0, num_gpus - 1), min_size=1))
    ledger = Ledger(num_gpus, taken, seed)
    before = set(ledger.free)
    if wanted <= before:
        slots = LedgerClaim(ledger).take(wanted, 5.0)
        assert {index: slot.gpu_index for index, slot in slots.items()} == {index: index for index in wanted}
        assert ledger.free == before - wanted
    else:
        with pytest.raises(DeployFailed, match="held by another Ray job"):
            LedgerClaim(ledger).take(wanted, 5.0)
        assert ledger.free == before


def test_no_more_slots_are_opened_than_can_help() -> None:
    assert slots_to_open({2, 3}, set(), 8) == 2
    assert slots_to_open({2, 3}, {0, 2}, 8) == 1
    assert slots_to_open({2, 3}, {2, 3}, 8) == 0
    assert slots_to_open({2, 3}, {0, 1}, 1) == 1


class GroupTable:
    """What Ray says of one placement group."""

    def __init__(self, state: str) -> None:
        self.util = self
        self._state = state

    def placement_group_table(self, group: object) -> dict[str, str]:
        return {"state": self._state}


@pytest.mark.parametrize(("state", "is_kept"), [("CREATED", True), ("PENDING", False), ("REMOVED", False)])
def test_a_process_that_starts_slowly_keeps_the_gpu_that_ray_has_reserved(state: str, is_kept: bool) -> None:
    """Starting a process can take longer than placing it: a cold disk, a busy node."""
    claim = LedgerClaim(Ledger(1, {0}, 0))
    claim._ray = GroupTable(state)
    slot = Slot(group=object(), actor=None, opened_at_s=-1000.0, gpu_index=0)
    claim._slots = [slot]
    claim._drop_unplaced(slot)
    assert (slot in claim._slots) is is_kept
