"""When a keeper continues a stopped process of its cluster, and when it ends it."""

from __future__ import annotations

from cluster.bridge.keeper.reviver import Stops
from cluster.deploy.process_state import ProcessState

PATIENCE_S = 2.0


def actions(stops: Stops, *looks: tuple[float, ProcessState]) -> list[str]:
    return [stops.look(state, now_s, PATIENCE_S) for now_s, state in looks]


def test_a_short_stop_is_left_alone() -> None:
    stopped, runs = ProcessState.STOPPED, ProcessState.RUNS
    assert set(actions(Stops(), (0.0, stopped), (1.0, stopped), (1.5, runs), (3.0, stopped))) == {"wait"}


def test_what_stays_stopped_is_continued_twice_and_then_ended() -> None:
    looks = [(float(now_s), ProcessState.STOPPED) for now_s in range(5)]
    assert actions(Stops(), *looks) == ["wait", "wait", "continue", "continue", "end"]


def test_stops_of_long_ago_are_forgiven() -> None:
    stops = Stops(continued_s=[0.0, 1.0, 2.0], since_s=100.0)
    assert stops.look(ProcessState.STOPPED, 103.0, PATIENCE_S) == "continue"
