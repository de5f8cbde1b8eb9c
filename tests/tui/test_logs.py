"""The live log: it follows, scrolls, finds, switches servers, and never waits for the cluster."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.bridge.events import DeploymentsSeen
from cluster.deploy.log_page import LogPage
from cluster.errors import Unreachable
from tests.cluster.deploy.test_log_tail import Log, numbered
from tests.tui.builders import make_cluster, make_deployment, make_readings, opening_events
from tests.tui.conftest import make_app, opened, screen_text, until
from tests.tui.fake_session import FakeSession
from tests.tui.servers import failed_server, serving_server
from tui.screens import logs as logs_screen
from tui.widgets.log_view import MOST_LINES, LogView

CLUSTER = make_cluster(simulated=False)


class Servers:
    """A session whose deployment has two servers with a log each."""

    def __init__(self, status: Any = None) -> None:
        self.status = status or serving_server(CLUSTER)
        self.log = {0: Log(), 1: Log()}
        events = (*opening_events(CLUSTER), make_readings(CLUSTER), self.seen())
        self.session = FakeSession(events)
        self.session.read_log = self.read
        self.app = make_app(session=self.session)

    def seen(self) -> DeploymentsSeen:
        return DeploymentsSeen(deployments=(self.status,))

    def read(self, replica: int, member: int, first: int, most: int) -> LogPage:
        assert member == 0
        return self.log[replica].page(first, most).model_copy(update={"replica": replica})

    @property
    def view(self) -> LogView:
        return self.app.screen.query_one(LogView)


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs_screen, "_LOOK_S", 0.05)


async def shown(pilot: Any, word: str) -> None:
    await until(pilot, lambda: word in screen_text(pilot.app))


async def test_it_follows_what_a_server_writes() -> None:
    servers = Servers()
    servers.log[0].write(*numbered(100))
    async with opened(servers.app, (80, 24)) as pilot:
        await pilot.press("l")
        await shown(pilot, "line 99")
        assert "Log of llama-3-1-70b-1  R0 node-0 (1 of 2)  following" in screen_text(servers.app)
        servers.log[0].write("the newest line")
        await shown(pilot, "the newest line")
        await pilot.press("escape")
        await pilot.pause()
        assert servers.app.screen is servers.app.main_screen


async def test_scrolled_back_it_stays_until_told_to_follow() -> None:
    servers = Servers()
    servers.log[0].write(*numbered(200))
    async with opened(servers.app, (80, 24)) as pilot:
        await pilot.press("l")
        await shown(pilot, "line 199")
        await pilot.press("home")
        await shown(pilot, "line 0")
        servers.log[0].write("the newest line")
        await until(pilot, lambda: "the newest line" in servers.view.lines)
        assert "the newest line" not in screen_text(servers.app)
        assert "scrolled back" in screen_text(servers.app)
        await pilot.press("f")
        await shown(pilot, "the newest line")


async def test_scrolling_to_the_end_follows_again() -> None:
    servers = Servers()
    servers.log[0].write(*numbered(200))
    async with opened(servers.app, (80, 24)) as pilot:
        await pilot.press("l")
        await shown(pilot, "line 199")
        await pilot.press("up")
        assert not servers.view.following
        await pilot.press("down")
        assert servers.view.following


async def test_tab_shows_the_next_server() -> None:
    servers = Servers()
    servers.log[0].write("from the first")
    servers.log[1].write("from the second")
    async with opened(servers.app, (80, 24)) as pilot:
        await pilot.press("l")
        await shown(pilot, "from the first")
        await pilot.press("tab")
        await shown(pilot, "from the second")
        text = screen_text(servers.app)
        assert "from the first" not in text and "R1 node-1 (2 of 2)" in text


async def test_a_text_is_found_from_the_end_and_the_next_match_wraps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The pilot waits after each key until no message is left.
    monkeypatch.setattr(logs_screen, "_LOOK_S", 5.0)
    servers = Servers()
    servers.log[0].write(*numbered(100), "CUDA out of memory", *numbered(100), "cuda error", *numbered(50))
    async with opened(servers.app, (80, 24)) as pilot:
        await pilot.press("l")
        await shown(pilot, "line 49")
        await pilot.press("slash", *"cuda", "enter")
        await shown(pilot, "match 2 of 2")
        assert "cuda error" in screen_text(servers.app)
        await pilot.press("n")
        await shown(pilot, "match 1 of 2")
        assert "CUDA out of memory" in screen_text(servers.app)
        await pilot.press("N")
        await shown(pilot, "match 2 of 2")
        await pilot.press("slash", *"absent", "enter")
        await shown(pilot, "no line has it")


async def test_a_restart_of_the_server_is_marked() -> None:
    servers = Servers()
    servers.log[0].write("before")
    async with opened(servers.app, (80, 24)) as pilot:
        await pilot.press("l")
        await shown(pilot, "before")
        servers.log[0].restart()
        servers.log[0].write("after")
        await shown(pilot, "after")
        assert list(servers.view.lines) == ["before", "--- the server was started again ---", "after"]


async def test_a_cluster_that_never_answers_does_not_stop_the_keys() -> None:
    servers = Servers()
    servers.session.read_log = None
    async with opened(servers.app, (80, 24)) as pilot:
        await pilot.press("l")
        await pilot.pause(0.3)
        asked = [order for order in servers.session.orders if order[0] == "logs"]
        assert len(asked) == 1, "one question at a time"
        await pilot.press("tab", "f", "escape")
        await pilot.pause()
        assert servers.app.screen is servers.app.main_screen


async def test_a_failure_is_told_and_reading_goes_on() -> None:
    servers = Servers()
    servers.session.read_log = lambda *_: Unreachable("the controller has not answered for 10 s")
    async with opened(servers.app, (80, 24)) as pilot:
        await pilot.press("l")
        await shown(pilot, "for 10 s")
        servers.log[0].write("here again")
        servers.session.read_log = servers.read
        await shown(pilot, "here again")
        await shown(pilot, "following")


async def test_the_end_of_the_deployment_is_told_and_its_lines_stay() -> None:
    servers = Servers()
    servers.log[0].write("last words")
    async with opened(servers.app, (80, 24)) as pilot:
        await pilot.press("l")
        await shown(pilot, "last words")
        servers.session.say(DeploymentsSeen(deployments=()))
        await shown(pilot, "the deployment has ended")
        assert "last words" in screen_text(servers.app)


async def test_old_lines_are_dropped_and_the_view_stays_where_it_is() -> None:
    servers = Servers()
    async with opened(servers.app, (80, 24)) as pilot:
        await pilot.press("l")
        await pilot.pause()
        view = servers.view
        view.add(numbered(MOST_LINES))
        await pilot.press("pageup", "pageup")
        before = screen_text(servers.app).splitlines()[4]
        view.add(numbered(600, "more"))
        await pilot.pause()
        assert len(view.lines) == MOST_LINES
        assert screen_text(servers.app).splitlines()[4] == before


async def test_long_lines_wrap_and_none_of_their_text_is_lost() -> None:
    servers = Servers()
    servers.log[0].write("x" * 300 + "END", "日本" * 60)
    async with opened(servers.app, (80, 24)) as pilot:
        await pilot.press("l")
        await shown(pilot, "END")
        text = screen_text(servers.app)
        assert text.count("x") >= 300 and text.count("日") == 60


async def test_the_log_of_the_replica_that_is_not_ready_comes_first() -> None:
    status = serving_server(CLUSTER)
    second = status.replicas[1].model_copy(update={"ready": False})
    servers = Servers(status.model_copy(update={"replicas": (status.replicas[0], second)}))
    servers.log[1].write("why it failed")
    async with opened(servers.app, (80, 24)) as pilot:
        await pilot.press("l")
        await shown(pilot, "why it failed")


async def test_the_builtin_engine_has_no_log_and_the_key_says_so() -> None:
    servers = Servers(make_deployment(CLUSTER, serving=True))
    async with opened(servers.app, (120, 40)) as pilot:
        await pilot.press("l")
        await shown(pilot, "The built-in engine has no log")


async def test_a_failed_deployment_shows_its_last_lines() -> None:
    servers = Servers(failed_server(CLUSTER))
    async with opened(servers.app, (120, 40)) as pilot:
        await pilot.press("tab")
        await pilot.pause()
        text = screen_text(servers.app)
    assert "last lines of R0 (l shows its log)" in text and "torch.OutOfMemoryError: CUDA out of" in text
