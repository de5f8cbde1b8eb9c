"""Playing a recording on the screen: its keys, its line, and that nothing can be ordered."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.recording.recording import open_recording
from cluster.recording.session import ReplayPosition, ReplaySession
from tests.cluster.recording.scenes import BEGIN_S, record
from tests.tui.builders import MODEL, make_plan, make_spec
from tests.tui.conftest import opened, screen_text, until
from tui.app import ClusterviewApp
from tui.replay import replay_line
from tui.setup import Setup

BEGIN_TEXT = "5:00 of 1:00:00"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recorded") / "incident.cvr"
    record(path, 130)
    return path


def test_the_line_says_where_it_is() -> None:
    position = ReplayPosition(BEGIN_S + 300, BEGIN_S, BEGIN_S + 3600, 4.0, False)
    line = replay_line(position)
    assert line.startswith("REPLAY 20") and BEGIN_TEXT in line and "4x" in line and line.endswith("paused")
    assert replay_line(ReplayPosition(BEGIN_S, BEGIN_S, BEGIN_S, 1.0, False)).endswith("ended")


async def test_keys_of_a_recording(recorded: Path) -> None:
    session = ReplaySession(open_recording(recorded), start_at_s=BEGIN_S + 100, is_playing=False)
    setup = Setup(models=(MODEL,), plan=make_plan, make_spec=make_spec, clock=session.now_s)
    app = ClusterviewApp(session, setup)
    async with opened(app, (160, 48)) as pilot:
        await until(pilot, lambda: "1:40 of 2:09" in screen_text(app))
        assert "gpu-1" in screen_text(app) and "SIMULATED" in screen_text(app)
        assert "Pause" in screen_text(app) and "stale" not in screen_text(app)
        await pilot.press("full_stop")
        await until(pilot, lambda: session.now_s() == BEGIN_S + 101)
        await pilot.press("comma")
        await until(pilot, lambda: session.now_s() == BEGIN_S + 100)
        await pilot.press("less_than_sign")
        await until(pilot, lambda: "0:40 of 2:09" in screen_text(app))
        await pilot.press(
            "greater_than_sign", "right_square_bracket", "right_square_bracket", "left_square_bracket"
        )
        await until(pilot, lambda: session.position.speed == 2.0 and session.now_s() == BEGIN_S + 100)
        await pilot.press("space")
        await until(pilot, lambda: session.position.is_playing)
        await pilot.press("space")
        await until(pilot, lambda: not session.position.is_playing)
        await until(pilot, lambda: "paused" in screen_text(app))
        await pilot.press("d")
        await until(pilot, lambda: "cannot deploy" in screen_text(app) or "not deploy" in screen_text(app))


async def test_speeds_have_ends(recorded: Path) -> None:
    session = ReplaySession(open_recording(recorded), is_playing=False)
    app = ClusterviewApp(session, Setup(models=(MODEL,), plan=make_plan, clock=session.now_s))
    async with opened(app, (160, 48)) as pilot:
        await pilot.press(*["right_square_bracket"] * 3)
        for key, speed in (("left_square_bracket", 0.25), ("right_square_bracket", 64.0)):
            for _ in range(12):
                await pilot.press(key)
                await pilot.pause(0.01)
            await until(pilot, lambda speed=speed: session.position.speed == speed)
