"""No line is cut without a sign, and no two columns touch."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from rich.text import Text

from cluster.bridge.events import DeploymentsSeen
from cluster.planner.layout import Layout
from cluster.planner.result import Band
from tests.tui.builders import make_cluster, make_deployment, make_placement, make_plan, opening_events
from tests.tui.conftest import make_app, opened, screen_text
from tui.styles import Styles
from tui.themes import DARK
from tui.widgets.alternatives import Alternatives, list_columns, widest
from tui.widgets.deployment_text import deployment_lines
from tui.widgets.gpu_row import legend
from tui.widgets.line_view import cut_to

LOOK = Styles(DARK)
CLUSTER = make_cluster()


@pytest.mark.parametrize("width", range(1, 40))
def test_a_cut_is_marked_unless_only_spaces_were_lost(width: int) -> None:
    whole = Text("a line of words that is told   ")
    line = whole.copy()
    cut_to(line, width)
    assert line.cell_len <= width or line.plain == whole.plain
    if width >= len(whole.plain.rstrip()):
        assert line.plain.rstrip() == whole.plain.rstrip()
    else:
        assert line.plain.endswith("…")


@pytest.mark.parametrize("width", range(10, 60))
def test_the_legend_drops_words_rather_than_cutting_them(width: int) -> None:
    words = re.findall("[a-z]+", legend(LOOK, width).plain)
    assert words == ["used", "planned", "free"][: len(words)]
    assert legend(LOOK, width).cell_len <= width
    if width >= 23:
        assert len(words) == 3


@pytest.mark.parametrize("width", [60, 74, 76, 100, 116, 156])
def test_replica_columns_are_whole_and_apart(width: int) -> None:
    status = make_deployment(CLUSTER, serving=True)
    busy = status.replicas[0].model_copy(
        update={"requests_total": 1_234_567, "in_flight": 12_345, "tokens_per_s": 123_456.0}
    )
    status = status.model_copy(update={"replicas": (busy, status.replicas[1])})
    lines = [line.plain for line in deployment_lines(status, {}, width, LOOK)]
    row = next(line for line in lines if "1,234,567" in line)
    heading = next(line for line in lines if line.startswith("replica"))
    assert max(len(row), len(heading)) <= width
    assert row.split()[3:6] == ["1,234,567", "12,345", "123,456"]
    names = ("requests", "in flight", "tok/s", "all-reduces/token", "% of time", "restarts")
    shown = [name for name in names if name in heading]
    assert shown == list(names[: len(shown)])
    assert heading.split() == ["replica", *" ".join(shown).split()]
    if width >= 74:
        assert "% of time" in shown


@pytest.mark.parametrize("width", [76, 116, 156])
def test_a_prediction_is_shown_whole(width: int) -> None:
    status = make_deployment(CLUSTER, serving=True)
    lines = [line.plain for line in deployment_lines(status, {}, width, LOOK)]
    rate = next(line for line in lines if line.startswith("rate"))
    assert len(rate) <= width
    assert "1,930 (1,505–2,393) predicted" in rate


@pytest.mark.parametrize("width", [40, 60, 78, 100, 118, 150, 230])
@pytest.mark.parametrize("factor", [0.001, 1, 300, 30_000])
def test_columns_of_layouts_never_touch(width: int, factor: float) -> None:
    plan = make_plan(CLUSTER)
    candidates = []
    for item in plan.candidates:
        if item.estimate is not None:
            was = item.estimate.throughput_tokens_per_s
            more = Band(was.value * factor, was.low * factor, was.high * factor)
            item = replace(item, estimate=replace(item.estimate, throughput_tokens_per_s=more))
        candidates.append(item)
    plan = replace(plan, candidates=tuple(candidates), recommended=candidates[0])
    view = Alternatives()
    view._plan, view._widest = plan, widest(plan)
    columns = list_columns(view._widest, width)
    ends = [4 + columns.label]
    for cells in (columns.throughput, columns.tpot, columns.memory, columns.ttft):
        ends.append(ends[-1] + cells)
    for number in range(1, len(candidates) + 1):
        line = view.draw_line(number, width, LOOK).plain
        assert len(line) <= width
        if candidates[number - 1].feasible:
            assert "…" not in line
            assert all(line[end - 2 : end].strip() == "" for end in ends if end <= width)


async def test_only_a_cut_note_ends_with_an_ellipsis() -> None:
    app = make_app()
    async with opened(app, (80, 24)) as pilot:
        lines = screen_text(app).splitlines()
        assert lines[-2].endswith("· other 1.1 of 71.3 …"), "the note has more to say"
        await pilot.resize_terminal(120, 40)
        await pilot.pause()
        text = screen_text(app)
        assert "limited by memory bandwidth" in text
        assert "of 71.3 …" not in text


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (150, 45)])
async def test_deployments_are_shown_whole_or_say_how_many_lines_are_hidden(size: tuple[int, int]) -> None:
    cluster = make_cluster(4, 8)
    places = make_placement(cluster, Layout(dp=32))
    status = make_deployment(CLUSTER, serving=True)
    ranks = tuple(
        status.ranks[0].model_copy(update={"replica": place.replica, "gpu_uuid": place.gpu_uuid})
        for place in places
    )
    replicas = tuple(status.replicas[0].model_copy(update={"replica": number}) for number in range(32))
    wide = status.model_copy(update={"ranks": ranks, "replicas": replicas})
    app = make_app((*opening_events(cluster), DeploymentsSeen(deployments=(wide,))))
    async with opened(app, size) as pilot:
        await pilot.press("tab")
        await pilot.pause()
        assert "more lines (page down)" in screen_text(app)
        assert "R31   ● ready" not in screen_text(app)
        await pilot.press(*["pagedown"] * 12)
        await pilot.pause()
        assert "more lines" not in screen_text(app)


@pytest.mark.parametrize(("room", "told"), [(40, True), (20, True), (13, True), (8, False)])
def test_ranks_are_left_out_where_there_is_no_room(room: int, told: bool) -> None:
    status = make_deployment(CLUSTER, serving=True)
    lines = [line.plain for line in deployment_lines(status, {}, 120, LOOK, room)]
    assert len(lines) <= room
    assert any("node-1 GPU 3" in line for line in lines) is (room >= 20)
    assert any(line.startswith("R1·T3") or "R1·T3" in line for line in lines) is told


async def test_the_note_on_a_layout_is_visible_in_every_wide_terminal() -> None:
    status = make_deployment(CLUSTER, serving=True)
    app = make_app((*opening_events(CLUSTER), DeploymentsSeen(deployments=(status,))))
    async with opened(app, (160, 45)) as pilot:
        await pilot.press(*["down"] * 5)
        await pilot.pause()
        text = screen_text(app)
        assert "weights do not fit: needs 131.4 GiB" in text
        assert "tok/s measured" in text
        assert "all-reduces/token   % of time" in text
