"""When a session joins again after its child ended, and when it gives up."""

from __future__ import annotations

import pytest

from cluster.bridge.events import SessionLost
from cluster.bridge.protocol import Target
from cluster.bridge.rejoin import Rejoin

LOST = SessionLost(reason="no Ray cluster at 10.0.0.1:6379")


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_child_that_was_killed_is_followed_by_others_with_growing_pauses(is_ours: bool) -> None:
    rejoin = Rejoin(is_ours=is_ours, joined=True)
    pauses = [rejoin.pause_s(None, 1.0) for _ in range(6)]
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, None]


def test_a_child_that_lived_for_long_is_forgiven_those_before() -> None:
    rejoin = Rejoin(is_ours=True, joined=True, tries=5)
    rejoin.begin(100.0)
    assert rejoin.pause_s(None, 200.0) == 0.5


def test_what_a_child_says_is_final_unless_another_cluster_may_come_back() -> None:
    assert Rejoin(is_ours=True, joined=True).pause_s(LOST, 1.0) is None
    assert Rejoin(is_ours=False, joined=False).pause_s(LOST, 1.0) is None
    assert Rejoin(is_ours=False, joined=True).pause_s(LOST, 1.0) == 0.5


def test_a_cluster_that_was_joined_is_not_started_anew() -> None:
    rejoin, target = Rejoin(is_ours=True), Target(simulate="1x2xL4")
    assert rejoin.target(target).start
    rejoin.joined = True
    assert not rejoin.target(target).start
