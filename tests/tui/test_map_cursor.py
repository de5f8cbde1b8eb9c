"""The cursor on the map: arrows, mouse, and the pages that enter and a second click open."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.bridge.events import ClusterSeen
from tests.tui.builders import make_cluster, opening_events
from tests.tui.conftest import make_app, opened, screen_text, until
from tests.tui.fake_session import FakeSession
from tests.tui.map_cells import cells_of
from tests.tui.sick import sick_cluster, sick_events
from tui.screens.candidate_detail import CandidateDetail
from tui.screens.gpu_page import GpuPage
from tui.screens.node_page import NodePage
from tui.views import Place
from tui.widgets.map_grid import DENSITIES, Spot


def map_of(app: Any) -> Any:
    """The map of the main screen."""
    return app.main_screen.panels.map


async def test_arrows_are_the_lists_until_the_cursor_is_on_the_map() -> None:
    app = make_app()
    async with opened(app, (120, 40)) as pilot:
        first = app.main_screen.panels.candidate
        await pilot.press("down")
        second = app.main_screen.panels.candidate
        assert second is not first and map_of(app).cursor is None
        await pilot.press("g", "down", "up", "right")
        assert app.main_screen.panels.candidate is second
        assert map_of(app).cursor == Place("id-0", "GPU-0-1")
        await pilot.press("escape", "up")
        assert app.main_screen.panels.candidate is first
        assert map_of(app).cursor is None
        await pilot.press("left")
        assert map_of(app).cursor == Place("id-0", "GPU-0-1"), "it comes back to where it was"


@pytest.mark.parametrize("size", [(80, 24), (240, 70)])
async def test_keys_reach_the_last_gpu_and_the_map_scrolls_with_them(size: tuple[int, int]) -> None:
    app = make_app(opening_events(make_cluster(9, 8)))
    async with opened(app, size) as pilot:
        view = map_of(app)
        for density in DENSITIES:
            view.density = density
            view.refresh(layout=True)
            await pilot.press("g", "end")
            await pilot.pause()
            assert view.cursor == Place("id-8", "GPU-8-7")
            assert _is_visible(view), density
            await pilot.press("home")
            await pilot.pause()
            assert view.cursor == Place("id-0")
            assert _is_visible(view), density
            assert "▸" in screen_text(app), density


def _is_visible(view: Any) -> bool:
    lines = view.grid(view.size.width).lines_of(view._cursor.spot)
    return bool(view.top <= lines.start and lines.start + 1 < view.top + view.size.height)


async def test_only_the_lines_under_the_cursor_are_drawn_for_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app(opening_events(make_cluster(1250, 8)))
    async with opened(app, (160, 48)) as pilot:
        view = map_of(app)
        await pilot.press("g", "down")
        drawn: list[int] = []
        draw = view.draw_line
        monkeypatch.setattr(view, "draw_line", lambda index, *more: drawn.append(index) or draw(index, *more))
        view.move("down")
        assert len(drawn) == 3, "the heading, the line it left and the line it came to"


async def test_enter_opens_the_page_of_a_gpu_or_a_node_and_of_a_layout_off_the_map() -> None:
    app = make_app()
    async with opened(app, (120, 40)) as pilot:
        await pilot.press("g", "enter")
        assert isinstance(app.screen, GpuPage)
        await pilot.press("escape", "left", "enter")
        assert isinstance(app.screen, NodePage)
        await pilot.press("escape", "escape", "enter")
        assert isinstance(app.screen, CandidateDetail)


async def test_a_click_selects_and_a_second_one_opens() -> None:
    app = make_app(opening_events(make_cluster(2, 4)))
    async with opened(app, (120, 40)) as pilot:
        view = map_of(app)
        cells = cells_of(view.grid(view.size.width), view.size.width)
        line, x = min(cells[Spot(1, 2)])
        at = (x + 1, line + 1 - view.top)
        await pilot.click("#map", offset=at)
        await pilot.pause()
        assert view.cursor == Place("id-1", "GPU-1-2")
        await pilot.click("#map", offset=at)
        await until(pilot, lambda: isinstance(app.screen, GpuPage))
        assert "node-1  GPU 2" in screen_text(app)


async def test_the_key_bar_shows_the_keys_of_the_place() -> None:
    app = make_app()
    async with opened(app, (160, 48)) as pilot:
        assert "↑↓ Layout" in screen_text(app).splitlines()[-1]
        await pilot.press("g")
        await pilot.pause()
        bar = screen_text(app).splitlines()[-1]
        assert "↑↓←→ GPU" in bar and "⏎ Open" in bar and "esc Layouts" in bar and "Details" not in bar


async def test_find_puts_the_cursor_on_the_node() -> None:
    app = make_app(opening_events(make_cluster(300, 8)))
    async with opened(app, (120, 40)) as pilot:
        await pilot.press("slash", *"node-277", "enter")
        await until(pilot, lambda: map_of(app).cursor == Place("id-277"))
        assert "▸ node-277" in screen_text(app)
        await pilot.press("enter")
        assert isinstance(app.screen, NodePage)


async def test_the_cursor_stays_on_its_gpu_while_nodes_come_and_go() -> None:
    session = FakeSession(opening_events(make_cluster(3, 4)))
    app = make_app(session=session)
    async with opened(app, (120, 40)) as pilot:
        await pilot.press("g", "end")
        place = map_of(app).cursor
        assert place == Place("id-2", "GPU-2-3")
        cluster = make_cluster(3, 4)
        session.say(ClusterSeen(cluster=cluster.model_copy(update={"nodes": cluster.nodes[1:]})))
        await until(pilot, lambda: len(app.context.store.snapshot.cluster.nodes) == 2)
        await pilot.pause()
        assert map_of(app).cursor == place
        session.say(ClusterSeen(cluster=cluster.model_copy(update={"nodes": cluster.nodes[:2]})))
        await until(pilot, lambda: map_of(app).cursor is None)
        await pilot.press("enter", "escape")


async def test_a_dead_node_is_dismissed_and_no_other() -> None:
    session = FakeSession(sick_events(sick_cluster()))
    app = make_app(session=session)
    async with opened(app, (120, 40)) as pilot:
        await pilot.press("X")
        await pilot.pause()
        assert "move to a dead node first" in screen_text(app)
        await pilot.press("g", "X")
        await pilot.pause()
        assert "node-0 is not dead" in screen_text(app)
        assert session.orders == []
        await pilot.press("end", "X")
        await until(pilot, lambda: bool(session.orders))
        assert session.orders == [("dismiss", "id-2")]


async def test_keys_on_a_map_without_nodes_do_nothing() -> None:
    app = make_app(())
    async with opened(app, (80, 24)) as pilot:
        await pilot.press("g", "left", "right", "home", "enter", "X", "escape")
        await pilot.pause()
        assert app.screen is app.main_screen
