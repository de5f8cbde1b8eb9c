"""A lost connection: shown at once, nothing old shown as fresh, no late orders, and a key to reconnect."""

from __future__ import annotations

from typing import Any

from cluster.bridge.events import DeploymentsSeen, Event, Progress, SessionLost
from cluster.deploy.status import DeploymentState
from tests.tui.builders import make_cluster, make_deployment, make_readings, opening_events
from tests.tui.conftest import make_app, opened, screen_text, until
from tests.tui.fake_session import FakeSession
from tui.exit_message import exit_lines
from tui.key_availability import INTERRUPTED
from tui.open_orders import OpenOrders
from tui.store import Snapshot, Store

CLUSTER = make_cluster()
BROKEN = Progress(message="the connection process ended (killed by SIGKILL); joining again", interrupted=True)
LOST = SessionLost(reason="the cluster at 10.0.0.1:6379 is gone")


def snapshot_of(*events: Event) -> Snapshot:
    """What a store holds after events."""
    store = Store()
    for event in events:
        store.apply(event)
    return store.snapshot


def test_an_interruption_ends_with_the_first_data_not_with_progress() -> None:
    known = opening_events(CLUSTER)
    assert snapshot_of(*known, BROKEN).interrupted
    assert snapshot_of(*known, BROKEN, Progress(message="entering the cluster", fraction=1.0)).interrupted
    for news in (known[0], make_readings(CLUSTER), DeploymentsSeen(deployments=())):
        now = snapshot_of(*known, BROKEN, news)
        assert not now.interrupted and now.progress is None
    gone = snapshot_of(*known, BROKEN, LOST)
    assert not gone.interrupted and gone.disconnected
    assert not snapshot_of(*known, LOST, BROKEN).lost


async def test_an_interruption_is_shown_and_old_readings_are_stale() -> None:
    session = FakeSession(opening_events(CLUSTER))
    app = make_app(session=session)
    async with opened(app) as pilot:
        assert "stale" not in screen_text(app)
        session.say(BROKEN)
        await until(pilot, lambda: "RECONNECTING" in screen_text(app))
        text = screen_text(app)
        assert text.count("~ stale") == len(CLUSTER.nodes)
        assert "joining again" in text
        await pilot.press("d")
        await until(pilot, lambda: INTERRUPTED in screen_text(app))
        assert not session.orders
        session.say(make_readings(CLUSTER))
        await until(pilot, lambda: "RECONNECTING" not in screen_text(app))
        assert "stale" not in screen_text(app)
        assert "joining again" not in screen_text(app)


async def test_an_order_confirmed_while_disconnected_is_dropped_with_one_line() -> None:
    session = FakeSession(opening_events(CLUSTER))
    app = make_app(session=session)
    async with opened(app) as pilot:
        await pilot.press("d")
        await until(pilot, lambda: app.screen is not app.main_screen)
        session.say(BROKEN)
        await pilot.pause(0.1)
        await pilot.press("left", "enter")
        await until(pilot, lambda: app.screen is app.main_screen)
        await pilot.pause(0.1)
        assert session.orders == []
        assert not app.main_screen.orders.open.deploying


async def test_a_key_reconnects_and_keeps_the_last_known_state() -> None:
    status = make_deployment(CLUSTER, serving=True)
    first = FakeSession((*opening_events(CLUSTER), DeploymentsSeen(deployments=(status,))))
    second = FakeSession(())
    app = make_app(session=first, reopen=lambda: second)
    async with opened(app, (120, 40)) as pilot:
        assert "Reconnect" not in screen_text(app)
        first.say(LOST)
        await until(pilot, lambda: "NOT CONNECTED" in screen_text(app))
        assert "R Reconnect" in screen_text(app)
        await pilot.press("R")
        await until(pilot, lambda: "RECONNECTING" in screen_text(app))
        assert app.context.session is second
        await until(pilot, lambda: first.closed)
        assert "node-0" in screen_text(app) and app.context.store.snapshot.deployments == (status,)
        first.say(DeploymentsSeen(deployments=()))
        assert app.context.store.snapshot.deployments, "the old session is not heard any more"
        second.say(*opening_events(CLUSTER))
        await until(pilot, lambda: "RECONNECTING" not in screen_text(app))
        assert "NOT CONNECTED" not in screen_text(app)


def said(*events: Event, orders: OpenOrders | None = None, place: tuple[str, ...] = ()) -> list[str]:
    """What the terminal says after leaving."""
    return exit_lines(snapshot_of(*opening_events(CLUSTER), *events), orders or OpenOrders(), place)


def deployed(**changes: Any) -> DeploymentsSeen:
    """One deployment, with changes."""
    status = make_deployment(CLUSTER, serving=True, name="llama-1")
    return DeploymentsSeen(deployments=(status.model_copy(update=changes),))


def test_exit_names_what_is_running_where_and_how_to_stop_it() -> None:
    end = "Stop it with: clusterview stop llama-1"
    assert said() == []
    at = "http://127.0.0.1:8123"
    assert said(deployed(endpoint=at)) == [f"llama-1 is still running at {at}. {end}"]
    assert said(deployed(state=DeploymentState.STARTING)) == [f"llama-1 is still starting. {end}"]
    failed = deployed(state=DeploymentState.FAILED, reason="rank 0: out of memory")
    assert said(failed) == [f"llama-1 has failed: rank 0: out of memory. {end}"]
    assert said(deployed(state=DeploymentState.STOPPING)) == ["llama-1 is being stopped."]


def test_exit_includes_the_address_that_stop_needs() -> None:
    (line,) = said(deployed(endpoint=None), place=("--address", "10.0.0.1:6379"))
    assert line == "llama-1 is still running. Stop it with: clusterview stop --address 10.0.0.1:6379 llama-1"


def test_exit_names_a_deployment_that_is_not_visible_yet() -> None:
    orders = OpenOrders()
    orders.deploy("llama-2")
    lines = said(deployed(), orders=orders)
    assert lines[1] == "llama-2 was submitted and may be starting. Stop it with: clusterview stop llama-2"


def test_exit_from_a_lost_session_claims_nothing() -> None:
    for trouble in (LOST, BROKEN):
        (line,) = said(deployed(), trouble)
        assert line == (
            "llama-1 was ready when the connection to its cluster was lost. "
            "Check it with: clusterview status. Stop it with: clusterview stop llama-1"
        )
