"""The controller's decisions: pure, so every turn of a group's life can be written down."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.deploy.lifecycle import (
    LONGEST_PAUSE_S,
    MOST_RESTARTS,
    Action,
    GroupView,
    deployment_state,
    next_action,
    pause_s,
)
from cluster.deploy.rank_report import DEADLINES_S, RankReport, RankStep, shown_state
from cluster.deploy.status import DeploymentState, RankState

RUNNING = GroupView(ranks=(RankReport(RankStep.RUNNING), RankReport(RankStep.RUNNING)), proven=True)


def group(*steps: RankStep, **fields: object) -> GroupView:
    return replace(GroupView(ranks=tuple(RankReport(step) for step in steps)), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seen", "action"),
    [
        (GroupView(), Action.START),
        (GroupView(paused_s=3.0), Action.WAIT),
        (group(RankStep.STARTED, RankStep.STARTING), Action.WAIT),
        (group(RankStep.STARTED, RankStep.STARTED), Action.MEET),
        (group(RankStep.STARTED, RankStep.STARTED, told_to_meet=True), Action.WAIT),
        (group(RankStep.LOADED, RankStep.LOADING), Action.WAIT),
        (group(RankStep.LOADED, RankStep.LOADED), Action.WARM_UP),
        (group(RankStep.LOADED, RankStep.LOADED, told_to_warm_up=True), Action.WAIT),
        (group(RankStep.RUNNING, RankStep.WARMING_UP), Action.WAIT),
        (group(RankStep.RUNNING, RankStep.RUNNING), Action.PROVE),
        (group(RankStep.RUNNING, RankStep.RUNNING, proving=True), Action.WAIT),
        (RUNNING, Action.WAIT),
        (group(RankStep.LOADED, RankStep.LOADED, leader_speaks=True), Action.WAIT),
        (group(RankStep.RUNNING, RankStep.LOADING, leader_speaks=True), Action.WARM_UP),
        (group(RankStep.RUNNING, RankStep.LOADING, leader_speaks=True, told_to_warm_up=True), Action.WAIT),
        (
            group(RankStep.RUNNING, RankStep.RUNNING, leader_speaks=True, told_to_warm_up=True),
            Action.PROVE,
        ),
        (group(RankStep.FAILED, RankStep.RUNNING), Action.RESTART),
        (group(RankStep.FAILED, RankStep.RUNNING, restarts=MOST_RESTARTS), Action.GIVE_UP),
        (GroupView(given_up="no"), Action.WAIT),
    ],
)
def test_each_step_follows_from_what_is_seen(seen: GroupView, action: Action) -> None:
    assert next_action(seen).action is action


def test_the_rank_that_failed_first_is_named() -> None:
    """The others only noticed; their reasons would mislead."""
    noticed = RankReport(RankStep.FAILED, age_s=0.1, reason="connection reset by peer")
    cause = RankReport(RankStep.FAILED, age_s=0.4, reason="out of memory")
    decision = next_action(GroupView(ranks=(noticed, cause)))
    assert decision.action is Action.RESTART
    assert decision.reason == "rank 1: out of memory"


def test_what_no_restart_mends_is_not_tried_again() -> None:
    seen = GroupView(ranks=(RankReport(RankStep.FAILED, reason="unknown field", permanent=True),))
    assert next_action(seen).action is Action.GIVE_UP


@pytest.mark.parametrize("step", sorted(DEADLINES_S))
def test_every_step_on_the_way_has_a_deadline(step: RankStep) -> None:
    late = RankReport(step, age_s=DEADLINES_S[step] + 1)
    seen = GroupView(ranks=(late,), told_to_meet=True, told_to_warm_up=True)
    decision = next_action(seen)
    assert decision.action is Action.RESTART
    assert f"more than {DEADLINES_S[step]:.0f} s" in decision.reason


def test_a_process_may_state_its_own_deadline() -> None:
    slow = RankReport(RankStep.STARTED, age_s=500.0, deadline_s=1800.0)
    seen = GroupView(ranks=(slow,), names=("server on gpu-a",), told_to_meet=True)
    assert next_action(seen).action is Action.WAIT
    late = next_action(replace(seen, ranks=(replace(slow, age_s=1801.0),)))
    assert late.action is Action.RESTART
    assert late.reason == "server on gpu-a: started for more than 1800 s"


def test_only_running_has_no_deadline() -> None:
    assert set(RankStep) - DEADLINES_S.keys() == {RankStep.RUNNING, RankStep.STOPPED, RankStep.FAILED}


def test_pauses_grow_to_a_limit() -> None:
    pauses = [pause_s(restarts) for restarts in range(12)]
    assert pauses[:4] == [0.0, 1.0, 2.0, 4.0]
    assert pauses == sorted(pauses) and pauses[-1] == LONGEST_PAUSE_S


STEPS = st.sampled_from(sorted(RankStep))
GROUPS = st.builds(
    GroupView,
    ranks=st.lists(st.builds(RankReport, step=STEPS, age_s=st.floats(0, 1e4)), max_size=4).map(tuple),
    proven=st.booleans(),
    proving=st.booleans(),
    told_to_meet=st.booleans(),
    told_to_warm_up=st.booleans(),
    restarts=st.integers(0, 9),
    paused_s=st.floats(0, 40),
    given_up=st.none() | st.just("gave up"),
)


@given(GROUPS)
def test_a_failed_rank_always_ends_its_group(seen: GroupView) -> None:
    """Whatever else is true: a group with a failed rank is restarted or given up, with a reason."""
    decision = next_action(seen)
    failed = any(rank.step is RankStep.FAILED for rank in seen.ranks)
    if failed and seen.given_up is None:
        assert decision.action in (Action.RESTART, Action.GIVE_UP)
        assert decision.reason


@given(st.lists(GROUPS, min_size=1, max_size=4))
def test_ready_means_that_every_replica_proved_itself(groups: list[GroupView]) -> None:
    state, reason = deployment_state(groups, stopping=False, failure=None)
    assert (state is DeploymentState.READY) == all(group.proven for group in groups)
    assert state is DeploymentState.READY or reason


def test_states_of_a_deployment() -> None:
    restarting = GroupView(restarts=1)
    gave_up = GroupView(given_up="rank 0: out of memory")
    assert deployment_state([RUNNING, RUNNING], stopping=False, failure=None) == (DeploymentState.READY, "")
    assert (
        deployment_state([RUNNING, GroupView()], stopping=False, failure=None)[0] is DeploymentState.STARTING
    )
    degraded = (DeploymentState.DEGRADED, "1 of 2 replicas ready; replica 1 is restarting")
    assert deployment_state([RUNNING, restarting], stopping=False, failure=None) == degraded
    assert deployment_state([RUNNING, gave_up], stopping=False, failure=None)[0] is DeploymentState.DEGRADED
    failed = (DeploymentState.FAILED, "replica 0: rank 0: out of memory")
    assert deployment_state([gave_up, gave_up], stopping=False, failure=None) == failed
    assert deployment_state([RUNNING], stopping=True, failure=None)[0] is DeploymentState.STOPPING
    assert deployment_state([RUNNING], stopping=False, failure="why") == (DeploymentState.FAILED, "why")


def test_running_shows_as_ready_only_when_proven() -> None:
    assert shown_state(RankStep.RUNNING, proven=True) is RankState.READY
    assert shown_state(RankStep.RUNNING, proven=False) is RankState.WARMING_UP
    assert {shown_state(step, proven=False) for step in RankStep} == set(RankState) - {
        RankState.READY,
        RankState.STOPPING,
    }
