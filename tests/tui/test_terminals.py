"""Terminals of all sizes and abilities, clusters of all sizes, strings of all kinds."""

from __future__ import annotations

from collections import Counter

import pytest

from cluster.bridge.events import ClusterSeen, DeploymentsSeen, ReadingsSeen
from cluster.inventory import GpuProcess
from tests.tui.builders import (
    NOW_S,
    make_cluster,
    make_deployment,
    make_model,
    make_plan,
    make_readings,
    opening_events,
)
from tests.tui.conftest import make_app, opened, screen_text, until
from tui.scene import Scene

HOSTILE = (
    "[/",
    "[red]x",
    "[@click=app.quit]q[/]",
    "\x1b]2;owned\x07",
    "\x9b31mred",
    "a\u202eb",
    "[0]",
    "\ud800",
)


def with_escape(*keys: str) -> list[str]:
    """Press escape after each key."""
    return [pressed for key in keys for pressed in (key, "escape")]


@pytest.mark.parametrize("size", [(1, 1), (10, 3), (20, 5), (40, 10), (60, 20), (500, 120)])
async def test_no_size_crashes_the_screen(size: tuple[int, int]) -> None:
    cluster = make_cluster()
    status = make_deployment(cluster, serving=True)
    app = make_app((*opening_events(cluster), DeploymentsSeen(deployments=(status,))))
    async with opened(app, size) as pilot:
        for key in (
            "down",
            "tab",
            "question_mark",
            "escape",
            "c",
            "escape",
            "enter",
            "escape",
            "w",
            "escape",
        ):
            await pilot.press(key)
        await pilot.pause()
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert "node-0" in screen_text(app)


@pytest.mark.parametrize("payload", HOSTILE)
async def test_no_string_is_markup_or_control(payload: str) -> None:
    cluster = make_cluster()
    node = cluster.nodes[0]
    gpu = node.gpus[0].model_copy(
        update={
            "type": payload,
            "unhealthy_reason": payload,
            "processes": (GpuProcess.model_construct(pid=1, name=payload),),
        }
    )
    node = node.model_copy(update={"name": payload, "gpus": (gpu, *node.gpus[1:])})
    hostile = cluster.model_copy(update={"nodes": (node, cluster.nodes[1])})
    status = make_deployment(hostile, serving=False).model_copy(
        update={"name": payload, "model": payload, "reason": payload, "scale": payload}
    )

    def plan(*_: object):  # type: ignore[no-untyped-def]
        from dataclasses import replace

        made = make_plan(hostile)
        refused = replace(made.candidates[4], why=payload)
        return replace(
            made,
            model=make_model(payload),
            engine_version=payload,
            candidates=(replace(made.candidates[0], why=payload, notes=(payload,)), refused),
        )

    events = (ClusterSeen.model_construct(cluster=hostile), make_readings(cluster))
    app = make_app(
        (*events, DeploymentsSeen.model_construct(deployments=(status,))), models=(payload,), plan=plan
    )
    async with opened(app, (120, 40)) as pilot:
        for key in (
            "tab",
            "x",
            "escape",
            "tab",
            "d",
            "escape",
            "c",
            "escape",
            "enter",
            "escape",
            "m",
            "escape",
        ):
            await pilot.press(key)
            await pilot.pause()
            text = screen_text(app)
            assert not any(char < " " and char != "\n" for char in text)
            assert not any("\x7f" <= char <= "\x9f" or char == "\u202e" for char in text)
        assert app.is_running
        assert "node-1" in screen_text(app)


async def test_plain_ascii_when_asked_for() -> None:
    app = make_app(ascii_only=True)
    async with opened(app, (80, 24)) as pilot:
        assert screen_text_as_sent(app).isascii()
        await pilot.press("c")
        await pilot.pause()
        assert screen_text_as_sent(app).isascii()


def screen_text_as_sent(app) -> str:  # type: ignore[no-untyped-def]
    """Return the screen after the filters that stand before the terminal."""
    from textual.color import Color

    lines = []
    for strip in app.screen._compositor.render_strips():
        segments = list(strip)
        for line_filter in app.get_line_filters():
            segments = line_filter.apply(segments, Color.parse("black"))
        lines.append("".join(segment.text for segment in segments))
    return "\n".join(lines)


async def test_the_parts_differ_without_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = make_app()
    async with opened(app, (80, 24)):
        text = screen_text(app)
    assert all(sign in text for sign in "▆▃▁")


async def test_trouble_is_written_out() -> None:
    cluster = make_cluster(3, 2)
    readings = make_readings(cluster).nodes
    states = (
        readings[0].model_copy(update={"state": "stale", "taken_at_s": NOW_S - 40}),
        readings[1].model_copy(update={"state": "hung", "reason": "NVML does not return"}),
        readings[2].model_copy(update={"state": "lost", "taken_at_s": NOW_S - 300}),
    )
    app = make_app((ClusterSeen(cluster=cluster), ReadingsSeen(nodes=states)))
    async with opened(app, (80, 24)):
        text = screen_text(app)
    assert "~ stale 40 s" in text
    assert "! hung" in text and "NVML does not return" in text
    assert "! lost 5 min" in text


async def test_ten_thousand_gpus_cost_no_more_than_what_is_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    joined: Counter[str] = Counter()
    original = Scene.readings_on

    def counted(self: Scene, node):  # type: ignore[no-untyped-def]
        joined[node.node_id] += 1
        return original(self, node)

    monkeypatch.setattr(Scene, "readings_on", counted)
    cluster = make_cluster(1250, 8)
    app = make_app(opening_events(cluster))
    async with opened(app, (120, 40)) as pilot:
        assert "1,250 nodes · 10,000 GPUs" in screen_text(app)
        joined.clear()
        app.screen.panels.redraw_map()
        await pilot.pause()
        assert 0 < sum(joined.values()) <= 60 * 2
        await pilot.press("pagedown")
        await pilot.pause()
        text = screen_text(app)
        assert "node-0  " not in text
        assert "node-60" in text
        await pilot.press(*["pagedown"] * 200)
        await pilot.pause()
        assert "node-1249" in screen_text(app)


async def test_a_node_is_found_by_a_part_of_its_name() -> None:
    app = make_app(opening_events(make_cluster(1250, 8)))
    async with opened(app, (80, 24)) as pilot:
        assert "node-777" not in screen_text(app)
        await pilot.press("slash", *"777", "enter")
        await pilot.pause()
        await pilot.pause()
        assert "node-777" in screen_text(app)
        await pilot.press("slash", *"nowhere", "enter")
        await pilot.pause()
        await pilot.pause()
        assert "No node has 'nowhere' in its name." in screen_text(app)


async def test_every_density_names_the_replicas() -> None:
    app = make_app()
    async with opened(app, (240, 70)) as pilot:
        for density in ("large", "tiles", "rows", "strips", "nodes", "heat"):
            await pilot.press("v")
            await pilot.pause()
            text = screen_text(app)
            assert app.screen.query_one("#map").density == density
            words = {"heat": "node-1  1111", "nodes": "R1"}.get(density, "R1·T3")
            assert words in text


async def test_memory_that_changed_since_the_plan_is_reported() -> None:
    from cluster.units import GIB
    from tests.tui.fake_session import FakeSession

    cluster = make_cluster()
    session = FakeSession(opening_events(cluster))
    app = make_app(session=session)
    async with opened(app, (120, 40)) as pilot:
        assert "memory moved" not in screen_text(app)
        session.say(make_readings(cluster, used=9 * GIB))
        await pilot.pause()
        assert "free memory changed on 8 GPUs (r to replan)" in screen_text(app)
        await pilot.press("r")
        await until(pilot, lambda: "memory moved" not in screen_text(app))
