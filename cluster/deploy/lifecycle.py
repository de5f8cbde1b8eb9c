"""What a controller does next, from what it observes: pure, one decision per check, stateless."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cluster.deploy.rank_report import RankReport, RankStep, deadline_of
from cluster.deploy.status import DeploymentState

MOST_RESTARTS = 5
LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0
"""After serving this long, a group's earlier restarts no longer count."""


class Action(StrEnum):
    """What to do with a group of ranks."""

    WAIT = "wait"
    START = "start"  # make the rank actors
    MEET = "meet"  # give all ranks the rendezvous address
    WARM_UP = "warm up"  # all have loaded
    PROVE = "prove"  # all run: send one real token through
    RESTART = "restart"  # end all ranks; start again after a pause
    GIVE_UP = "give up"  # end all ranks for good


@dataclass(frozen=True, slots=True)
class GroupView:
    """One replica's group as the controller observes it. No ranks: none were started."""

    replica: int | None = None
    """Its number, a stable name; None: its position."""
    ranks: tuple[RankReport, ...] = ()
    """One per process: a rank, or all ranks of a node that one server runs."""
    names: tuple[str, ...] = ()
    """What messages call the processes; without any: 'rank 0', 'rank 1' ..."""
    leader_speaks: bool = False
    """Engine servers: only the leader knows when all members have loaded."""
    proven: bool = False
    proving: bool = False
    told_to_meet: bool = False
    told_to_warm_up: bool = False
    restarts: int = 0
    paused_s: float = 0.0
    """Seconds until it may start again."""
    given_up: str | None = None
    """Why it is not started again."""


@dataclass(frozen=True, slots=True)
class Decision:
    """An action and, if it ends something, why."""

    action: Action
    reason: str = ""


def next_action(group: GroupView) -> Decision:
    """Return the next thing to do with a group that should run."""
    if group.given_up is not None:
        return Decision(Action.WAIT)
    if not group.ranks:
        return Decision(Action.START if group.paused_s <= 0 else Action.WAIT)
    trouble = _trouble(group)
    if trouble is not None:
        rank, reason = trouble
        last = rank.permanent or group.restarts >= MOST_RESTARTS
        return Decision(Action.GIVE_UP if last else Action.RESTART, reason)
    if _all_in(group, RankStep.STARTED) and not group.told_to_meet:
        return Decision(Action.MEET)
    if _has_loaded(group) and not group.told_to_warm_up:
        return Decision(Action.WARM_UP)
    if _all_in(group, RankStep.RUNNING) and not group.proven and not group.proving:
        return Decision(Action.PROVE)
    return Decision(Action.WAIT)


def _all_in(group: GroupView, step: RankStep) -> bool:
    return all(rank.step is step for rank in group.ranks)


def _has_loaded(group: GroupView) -> bool:
    return group.ranks[0].step is RankStep.RUNNING if group.leader_speaks else _all_in(group, RankStep.LOADED)


def _trouble(group: GroupView) -> tuple[RankReport, str] | None:
    """Return the rank that ended the group and why: the cause, not the ranks that failed with it."""
    failed = [
        (n, rank) for n, rank in enumerate(group.ranks) if rank.step in (RankStep.FAILED, RankStep.STOPPED)
    ]
    if failed:
        # The rank that failed first is the cause; the others noticed.
        number, rank = max(failed, key=lambda pair: (pair[1].permanent, pair[1].age_s))
        return rank, f"{_name(group, number)}: {rank.reason or 'ended'}"
    for number, rank in enumerate(group.ranks):
        deadline_s = deadline_of(rank)
        if deadline_s is not None and rank.age_s > deadline_s:
            words = f"{rank.step} for more than {deadline_s:.0f} s {rank.reason}".rstrip()
            return rank, f"{_name(group, number)}: {words}"
    return None


def _name(group: GroupView, number: int) -> str:
    return group.names[number] if group.names else f"rank {number}"


def pause_s(restarts: int) -> float:
    """Return how long to wait before start number `restarts` + 1: 1, 2, 4 ... s, at most 30."""
    return 0.0 if restarts == 0 else min(LONGEST_PAUSE_S, 2.0 ** (restarts - 1))


def deployment_state(
    groups: Sequence[GroupView], *, stopping: bool, failure: str | None
) -> tuple[DeploymentState, str]:
    """Return the state of the whole deployment and its reason, derived from its groups."""
    if stopping:
        return DeploymentState.STOPPING, "draining and freeing its GPUs"
    if failure is not None:
        return DeploymentState.FAILED, failure
    ready = sum(group.proven for group in groups)
    if ready == len(groups):
        return DeploymentState.READY, ""
    given_up = [
        f"replica {_number(n, group)}: {group.given_up}" for n, group in enumerate(groups) if group.given_up
    ]
    if len(given_up) == len(groups):
        return DeploymentState.FAILED, given_up[0]
    troubled = given_up + [
        f"replica {_number(n, group)} is restarting" for n, group in enumerate(groups) if _restarting(group)
    ]
    if ready and troubled:
        return DeploymentState.DEGRADED, f"{ready} of {len(groups)} replicas ready; {troubled[0]}"
    return DeploymentState.STARTING, troubled[0] if troubled else f"{ready} of {len(groups)} replicas ready"


def _number(position: int, group: GroupView) -> int:
    return position if group.replica is None else group.replica


def _restarting(group: GroupView) -> bool:
    return group.restarts > 0 and not group.proven and group.given_up is None
