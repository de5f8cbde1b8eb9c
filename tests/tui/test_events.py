"""The event log: from a session's events to the list, the count of unseen ones, and the screen."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from cluster.bridge.events import (
    ClusterSeen,
    DeploymentsSeen,
    DetailsSeen,
    Progress,
    ReadingsSeen,
    SessionLost,
)
from cluster.detail import GpuDetail, NodeDetail, XidEvent
from tests.tui.builders import NOW_S, make_cluster, make_deployment, make_readings, opening_events
from tests.tui.conftest import make_app, opened, screen_text, until
from tui.incident_feed import IncidentFeed
from tui.screens.incidents import IncidentsScreen, clock_time
from tui.widgets.table_view import TableView


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


def lost_node(at_s: float = NOW_S) -> ReadingsSeen:
    first, *others = make_readings(make_cluster()).nodes
    gone = first.model_copy(update={"state": "lost", "reason": "no route", "taken_at_s": at_s})
    return ReadingsSeen(nodes=(gone, *others))


def xid(code: int = 79) -> DetailsSeen:
    gpu = GpuDetail(uuid="GPU-1-2", xids=(XidEvent(code=code, at_s=NOW_S - 5),))
    return DetailsSeen(nodes=(NodeDetail(node_id="id-1", taken_at_s=NOW_S, gpus=(gpu,)),))


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Show times the same everywhere."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_all_events_of_a_session_feed_the_log() -> None:
    clock, cluster = Clock(), make_cluster()
    feed = IncidentFeed(clock)
    for event in opening_events(cluster):
        feed.see(event)
    assert feed.log.incidents == ()
    for event in (
        lost_node(),
        xid(),
        DeploymentsSeen(deployments=(make_deployment(cluster, serving=True),)),
        SessionLost(reason="the head is gone"),
        Progress(message="reconnecting", interrupted=True),
        ClusterSeen(cluster=cluster),
    ):
        feed.see(event)
    assert {(one.kind, one.where) for one in feed.log.incidents} == {
        ("node", "node-0"),
        ("xid", "node-1 GPU 2"),
        ("deployment", "llama-3-1-70b-1"),
        ("connection", "connection"),
    }
    assert [one.what for one in feed.log.incidents if one.kind == "connection"] == ["is down", "is up again"]


def test_a_replay_that_is_rewound_forgets_what_came_after() -> None:
    clock = Clock()
    feed = IncidentFeed(clock)
    feed.see(ClusterSeen(cluster=make_cluster()))
    clock.now_s += 600
    feed.see(lost_node())
    assert len(feed.log.incidents) == 1
    clock.now_s -= 300
    feed.see(ClusterSeen(cluster=make_cluster()))
    assert feed.log.incidents == ()


def test_times_have_their_date_beyond_a_day_and_an_impossible_one_is_a_question_mark() -> None:
    assert clock_time(NOW_S, NOW_S + 60) == "22:13:20"
    assert clock_time(NOW_S, NOW_S + 200_000) == "11-14 22:13"
    assert clock_time(1e30, NOW_S) == "?"


async def test_the_header_counts_unseen_events_and_the_view_marks_them_as_seen() -> None:
    app = make_app((*opening_events(make_cluster()), lost_node(), xid()))
    async with opened(app) as pilot:
        assert "E 1 new event, 1 bad" in screen_text(app)  # the Xid was there when the first figures came
        await pilot.press("E")
        await until(pilot, lambda: "Xid 79" in screen_text(app))
        lines = screen_text(app).splitlines()
        lost, fallen = (
            next(n for n, line in enumerate(lines) if word in line) for word in ("no route", "Xid")
        )
        assert lost < fallen and "22:13:20" in lines[lost] and "× node" in lines[lost]
        assert "GPU fell off the bus (at the start)" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: "new event" not in screen_text(app))


async def test_events_can_be_filtered_and_new_ones_come_while_it_is_open() -> None:
    app = make_app((*opening_events(make_cluster()), lost_node()))
    async with opened(app) as pilot:
        await pilot.press("E")
        await until(pilot, lambda: "no route" in screen_text(app))
        app.context.session.say(xid(48))
        await until(pilot, lambda: "uncorrectable memory error" in screen_text(app))
        await pilot.press("slash", *"kind=xid", "enter")
        await until(pilot, lambda: "no route" not in screen_text(app))
        assert [row.kind for row in app.screen.query_one(TableView).rows] == ["xid"]


async def test_a_quiet_cluster_says_so() -> None:
    app = make_app()
    async with opened(app) as pilot:
        await pilot.press("E")
        await until(pilot, lambda: "Nothing has happened" in screen_text(app))
        await pilot.press("enter", "escape")
        await pilot.pause()
        assert not isinstance(app.screen, IncidentsScreen)
