"""Playing a recording: the same events again, paused, stepped, faster, and from elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.bridge.events import DeploymentsSeen, Event, Progress, ReadingsSeen, SessionLost
from cluster.errors import BadInput
from cluster.recording.recording import open_recording
from cluster.recording.session import ReplayPosition, ReplaySession
from cluster.recording.state import EMPTY, State, with_event
from tests.cluster.recording.scenes import BEGIN_S, record, states
from tests.cluster.recording.test_hostile_files import frame, state_of, written

PATIENCE_S = 20.0
SECONDS = 130


class Watcher:
    """A listener that adds up what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.state: State = EMPTY
        self._changed = threading.Condition()

    def __call__(self, event: Event) -> None:
        with self._changed:
            self.events.append(event)
            self.state = with_event(self.state, event)
            self._changed.notify_all()

    def until(self, is_true: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(is_true, PATIENCE_S)

    @property
    def said(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Progress)]


@contextmanager
def playing(path: Path, **options: object) -> Iterator[tuple[ReplaySession, Watcher]]:
    session, watcher = ReplaySession(open_recording(path), **options), Watcher()  # type: ignore[arg-type]
    session.start(watcher)
    try:
        yield session, watcher
    finally:
        session.close()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recorded") / "incident.cvr"
    record(path, SECONDS)
    return path


STATES = [state for _, state in states(SECONDS)]


def test_a_paused_recording_shows_its_beginning(recorded: Path) -> None:
    with playing(recorded, is_playing=False) as (session, watcher):
        watcher.until(lambda: watcher.state == STATES[0])
        assert session.position == ReplayPosition(BEGIN_S, BEGIN_S, BEGIN_S + SECONDS - 1, 1.0, False)
        assert session.now_s() == BEGIN_S
        assert session.title == "replay incident.cvr: simulated 2x4xA100-80GB"


def test_steps_lead_on_and_back_and_pause(recorded: Path) -> None:
    with playing(recorded, start_at_s=BEGIN_S + 58) as (session, watcher):
        for second in (59, 60, 61):
            session.step()
            watcher.until(lambda second=second: watcher.state == STATES[second])
            assert session.now_s() == BEGIN_S + second
        for second in (60, 59, 58):
            session.step(forward=False)
            watcher.until(lambda second=second: watcher.state == STATES[second])
        assert not session.position.is_playing


def test_steps_end_at_both_ends(recorded: Path) -> None:
    with playing(recorded, is_playing=False) as (session, watcher):
        session.step(forward=False)
        watcher.until(lambda: "no more frames there" in watcher.said)
        session.seek(BEGIN_S + 1e9)
        session.step()
        watcher.until(lambda: watcher.said.count("no more frames there") == 2)
        assert watcher.state == STATES[-1] and session.position.is_at_end


def test_a_jump_brings_the_readings_before_it_so_that_histories_are_full(recorded: Path) -> None:
    with playing(recorded, is_playing=False) as (session, watcher):
        session.seek(BEGIN_S + 110.2)
        watcher.until(lambda: watcher.state == STATES[110])
        read = [event.nodes[0].taken_at_s for event in watcher.events if isinstance(event, ReadingsSeen)]
        assert read[1:] == [BEGIN_S + second for second in range(60, 111)]
        session.seek_by(-60)
        watcher.until(lambda: watcher.state == STATES[50])


def test_a_jump_back_takes_deployments_away_again(recorded: Path) -> None:
    with playing(recorded, start_at_s=BEGIN_S + 100, is_playing=False) as (session, watcher):
        watcher.until(lambda: watcher.state["deployments"] != [])
        session.seek(BEGIN_S)
        watcher.until(lambda: watcher.state == STATES[0])
        assert isinstance(
            next(e for e in reversed(watcher.events) if isinstance(e, DeploymentsSeen)), DeploymentsSeen
        )


def test_it_plays_as_fast_as_it_is_told_and_ends_paused(recorded: Path) -> None:
    with playing(recorded, start_at_s=BEGIN_S + 100) as (session, watcher):
        session.set_speed(64.0)
        watcher.until(lambda: "end of the recording" in watcher.said)
        assert watcher.state == STATES[-1]
        assert session.position == ReplayPosition(
            BEGIN_S + SECONDS - 1, BEGIN_S, BEGIN_S + SECONDS - 1, 64.0, False
        )
        # Going on at the end starts again.
        session.set_playing(True)
        watcher.until(lambda: "playing" in watcher.said)
        assert session.now_s() < BEGIN_S + SECONDS - 1


def test_time_passes_only_while_it_plays(recorded: Path) -> None:
    now = [100.0]
    session = ReplaySession(open_recording(recorded), clock=lambda: now[0])
    now[0] += 5
    assert session.now_s() == BEGIN_S + 5
    now[0] += 1e6
    assert session.now_s() == BEGIN_S + SECONDS - 1
    still = ReplaySession(open_recording(recorded), is_playing=False, clock=lambda: now[0])
    now[0] += 5
    assert still.now_s() == BEGIN_S


def test_orders_are_refused_in_a_line(recorded: Path) -> None:
    session = ReplaySession(open_recording(recorded))
    assert not session.can_deploy
    for asked in (session.stop("x"), session.prompt("x", "1", "hi", 3), session.logs("x", 0, 0, 0, 1)):
        with pytest.raises(BadInput, match="this is a recording"):
            asked.result(1)


def test_what_cannot_be_restored_ends_the_session_with_a_reason(tmp_path: Path) -> None:
    path = written(tmp_path / "r", frame(state_of(readings={"a": {"node_id": 5}})))
    with playing(path) as (_, watcher):
        watcher.until(lambda: any(isinstance(event, SessionLost) for event in watcher.events))
        lost = watcher.events[-1]
        assert isinstance(lost, SessionLost) and "cannot be played on: 2 validation errors" in lost.reason


def test_a_file_that_vanishes_ends_the_session_with_a_reason(tmp_path: Path) -> None:
    record(tmp_path / "r", 80)
    with playing(tmp_path / "r", is_playing=False) as (session, watcher):
        watcher.until(lambda: watcher.state == STATES[0])
        (tmp_path / "r").unlink()
        session.seek(BEGIN_S + 70)
        watcher.until(lambda: isinstance(watcher.events[-1], SessionLost))
        assert "No such file" in watcher.state["lost"]["reason"]


def test_closing_twice_is_fine_and_ends_the_thread(recorded: Path) -> None:
    with playing(recorded) as (session, watcher):
        watcher.until(lambda: watcher.state["cluster"] is not None)
        session.close()
        until_s = time.monotonic() + PATIENCE_S
        while any(thread.name == "replay" and thread.is_alive() for thread in threading.enumerate()):
            assert time.monotonic() < until_s
            time.sleep(0.01)
