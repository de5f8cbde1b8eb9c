"""`e` shows the highlighted layout as commands and manifests, copies them and writes files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.export.make import ExportedFile
from cluster.export.names import format_names
from tests.tui.conftest import make_app, opened, screen_text, settle
from tests.tui.test_fixes import Remembering, highlight
from tui.exports import write_new
from tui.planner.by_name import plan_with_catalog
from tui.screens.export import ExportScreen

MODEL = "meta-llama/Llama-3.1-70B-Instruct"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    yield tmp_path


async def choose(app: Any, pilot: Any, name: str) -> str:
    """Move to a format, and return the text that is shown for it."""
    for _ in format_names():
        await pilot.press("up")
    for _ in range(format_names().index(name)):
        await pilot.press("down")
    await settle(pilot)
    return screen_text(app)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_plans_own_engine_comes_first(size: tuple[int, int]) -> None:
    app = make_app(plan=plan_with_catalog, models=(MODEL,))
    async with opened(app, size) as pilot:
        await pilot.press("e")
        await settle(pilot)
        assert isinstance(app.screen, ExportScreen)
        text = screen_text(app)
        assert "Export TP=4, DP=2" in text and "2 replicas of 4 GPUs" in text
        assert all(name in text for name in format_names())
        assert "c copy" in text and "w write a file" in text
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(app.screen, ExportScreen)


async def test_c_copies_the_whole_text() -> None:
    app = make_app(plan=plan_with_catalog, models=(MODEL,))
    async with opened(app, (80, 24)) as pilot:
        await pilot.press("e")
        await settle(pilot)
        assert "kind: LeaderWorkerSet" not in app.clipboard
        await choose(app, pilot, "lws")
        await pilot.press("c")
        await pilot.pause()
        assert [one["kind"] for one in yaml.safe_load_all(app.clipboard)] == ["LeaderWorkerSet", "Service"]
        assert "Sent to the terminal's clipboard" in screen_text(app)


async def test_w_writes_a_new_file_and_says_where(folder: Path) -> None:
    app = make_app(plan=plan_with_catalog, models=(MODEL,))
    (folder / "llama-3-1-70b-instruct.vllm.txt").write_text("mine")
    async with opened(app, (120, 40)) as pilot:
        await pilot.press("e")
        await settle(pilot)
        await pilot.press("w")
        await settle(pilot)
        written = folder / "llama-3-1-70b-instruct.vllm-2.txt"
        assert written.read_text().count("\nCUDA_DEVICE_ORDER=PCI_BUS_ID vllm serve ") == 2
        assert (folder / "llama-3-1-70b-instruct.vllm.txt").read_text() == "mine"
        assert "Wrote" in screen_text(app) and written.name in screen_text(app)


async def test_a_format_for_another_engine_is_planned_for_it() -> None:
    ask = Remembering(plan_with_catalog)
    app = make_app(plan=ask, models=(MODEL,))
    async with opened(app, (120, 40)) as pilot:
        await highlight(app, pilot, "TP=4, PP=2")
        await pilot.press("e")
        await settle(pilot)
        asked_before = len(ask.requests)
        text = await choose(app, pilot, "sglang")
        last = ask.requests[-1]
        assert len(ask.requests) > asked_before and last.engine == "sglang"
        assert (last.tp, last.pp, last.dp, last.ep) == (4, 2, 1, 1)
        assert "planned by clusterview for sglang" in text and "sglang.launch_server" in text


async def test_what_a_format_cannot_express_is_said_and_not_copied() -> None:
    app = make_app(plan=plan_with_catalog, models=(MODEL,))
    async with opened(app, (120, 40)) as pilot:
        await pilot.press("e")
        await settle(pilot)
        assert "Compose runs on one node" in await choose(app, pilot, "compose")
        await pilot.press("c", "w")
        await settle(pilot)
        assert app.clipboard == "" and isinstance(app.screen, ExportScreen)


async def test_a_rejected_layout_says_why_it_is_not_exported() -> None:
    app = make_app(plan=plan_with_catalog, models=(MODEL,))
    async with opened(app, (120, 40)) as pilot:
        await highlight(app, pilot, "PP=2")
        await pilot.press("e")
        await pilot.pause()
        assert not isinstance(app.screen, ExportScreen) and "PP=2 is rejected" in screen_text(app)


async def test_a_planner_that_fails_is_shown_in_the_dialog() -> None:
    def plan(cluster: Any, model: str, request: Any) -> Any:
        if request.engine == "sglang":
            raise RuntimeError("planner broke")
        return plan_with_catalog(cluster, model, request)

    app = make_app(plan=plan, models=(MODEL,))
    async with opened(app, (120, 40)) as pilot:
        await pilot.press("e")
        await settle(pilot)
        assert "bug in clusterview: RuntimeError: planner broke" in await choose(app, pilot, "sglang")


def test_written_names_are_free_ones(tmp_path: Path) -> None:
    file = ExportedFile("m.lws.yaml", "text\n")
    (tmp_path / "m.lws-2.yaml").symlink_to(tmp_path / "nowhere")
    names = [write_new(file, tmp_path).name for _ in range(3)]
    assert names == ["m.lws.yaml", "m.lws-3.yaml", "m.lws-4.yaml"]
    assert not (tmp_path / "nowhere").exists()
