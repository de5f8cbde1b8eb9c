"""Apps over recorded sessions, with a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from textual.pilot import Pilot

from cluster.bridge.events import Event
from tests.tui.builders import MODEL, NOW_S, make_cluster, make_plan, make_spec, opening_events
from tests.tui.fake_session import FakeSession
from tui.app import ClusterviewApp
from tui.setup import Setup


def make_app(events: Iterable[Event] | None = None, session: FakeSession | None = None, **setup: Any) -> Any:
    """Build an app on a recorded session; keywords replace parts of its setup."""
    chosen: dict[str, Any] = {
        "models": (MODEL,),
        "plan": make_plan,
        "make_spec": make_spec,
        "clock": lambda: NOW_S,
    }
    said = opening_events(make_cluster()) if events is None else events
    return ClusterviewApp(session or FakeSession(said), Setup(**{**chosen, **setup}))


async def settle(pilot: Pilot[Any]) -> None:
    """Wait until the session has spoken, the plan is there and everything is drawn."""
    for _ in range(3):
        await pilot.pause()
        running = [worker for worker in pilot.app.workers if worker.group in ("plan", "default")]
        if running:
            await pilot.app.workers.wait_for_complete(running)
    await pilot.pause()


async def until(pilot: Pilot[Any], is_true: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Wait for what threads bring about, however slow the machine is."""
    async with asyncio.timeout(timeout_s):
        while not is_true():
            await pilot.pause(0.02)
    await pilot.pause()


@asynccontextmanager
async def opened(app: Any, size: tuple[int, int] = (120, 40)) -> AsyncIterator[Pilot[Any]]:
    """Run an app until it has settled."""
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        yield pilot


def screen_text(app: Any) -> str:
    """Return what is on the screen as lines of text."""
    lines = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in lines)


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep pictures the same everywhere."""
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    monkeypatch.delenv("NO_COLOR", raising=False)
