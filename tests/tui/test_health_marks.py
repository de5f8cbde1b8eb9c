"""Health on the map: signs and words at every zoom level, and counts in the header."""

from __future__ import annotations

import pytest

from cluster.bridge.events import ReadingsSeen
from cluster.gpu_health import Finding, Health
from cluster.telemetry import GpuReading, NodeReading
from tests.tui.builders import NOW_S, make_cluster
from tests.tui.conftest import make_app, opened, screen_text
from tests.tui.map_cells import cells_of
from tests.tui.sick import HOT, THROTTLED, changed, sick_cluster, sick_events
from tui.health_marks import HEALTHY, HealthCounter, Mark, mark_of, node_marks
from tui.scene import Scene
from tui.store import Store
from tui.styles import Styles
from tui.themes import DARK
from tui.widgets.cluster_map import ClusterMap
from tui.widgets.map_grid import DENSITIES, Density, Spot

STYLES = Styles(DARK)
GPU = make_cluster(1, 1).nodes[0].gpus[0]


def test_the_worst_that_is_known_is_the_mark() -> None:
    hot = Health(state="degraded", findings=(HOT, THROTTLED))
    sick = GPU.model_copy(update={"health": hot})
    assert mark_of(GPU, None) is HEALTHY
    assert mark_of(sick, None) == Mark("degraded", "hot +1", f"{HOT.text}; {THROTTLED.text}")
    left_out = GPU.model_copy(update={"excluded_reason": "CUDA_VISIBLE_DEVICES is 1"})
    assert mark_of(left_out, None) == Mark("left out", "left out", "CUDA_VISIBLE_DEVICES is 1")
    lost = GpuReading(uuid=GPU.uuid, error="GPU is lost")
    assert mark_of(sick, lost) == Mark("unhealthy", "unhealthy", "GPU is lost")
    judged = Health(state="unhealthy", findings=(Finding(code="remap_failed", state="unhealthy", text="x"),))
    failed = GPU.model_copy(update={"health": judged, "unhealthy_reason": "a row remap failed"})
    assert mark_of(failed, None) == Mark("unhealthy", "remap failed", "a row remap failed")


def test_healthy_findings_of_nothing_leave_no_mark() -> None:
    assert mark_of(GPU.model_copy(update={"health": Health()}), None) is HEALTHY


def test_a_single_gpu_is_named_and_several_are_counted() -> None:
    hot, lost = Mark("degraded", "hot", "91 °C"), Mark("unhealthy", "lost", "gone")
    assert [mark.word for mark in node_marks([(0, HEALTHY), (3, hot)])] == ["GPU 3 hot"]
    marks = node_marks([(0, hot), (1, lost), (2, hot)])
    assert [(mark.sign, mark.word) for mark in marks] == [("!", "GPU 1 lost"), ("▲", "2 degraded")]


def test_the_header_counts_each_kind_once() -> None:
    cluster = sick_cluster()
    store = Store()
    for event in sick_events(cluster):
        store.apply(event)
    counter = HealthCounter()
    words = [mark.word for mark in counter.count(store.snapshot)]
    assert words == ["1 node dead", "1 unhealthy", "1 degraded", "1 left out"]
    # An error in the latest reading counts at once; a GPU that is degraded as well is counted as the worse.
    error = GpuReading(uuid="GPU-0-1", error="must be reset")
    silent = NodeReading(node_id="id-1", taken_at_s=NOW_S, state="hung")
    store.apply(ReadingsSeen(nodes=(NodeReading(node_id="id-0", taken_at_s=NOW_S, gpus=(error,)), silent)))
    words = [mark.word for mark in counter.count(store.snapshot)]
    assert words == ["1 node dead", "1 node not answering", "2 unhealthy", "1 left out"]


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (240, 70)])
async def test_health_has_signs_and_words_at_every_zoom_level(size: tuple[int, int]) -> None:
    app = make_app(sick_events(sick_cluster()))
    async with opened(app, size) as pilot:
        view = app.main_screen.panels.map
        for density in DENSITIES:
            view.density = density
            view.refresh(layout=True)
            await pilot.pause()
            lines = screen_text(app).splitlines()
            text = "\n".join(lines[1:])
            assert "! 1 node dead  ! 1 unhealthy  ▲ 1 degraded" in lines[0]
            assert "▲" in text
            words = {"heat": "▲ degraded", "nodes": "! dead"}.get(density, "hot +1")
            assert words in text, density


async def test_a_healthy_cluster_shows_no_health_column() -> None:
    app = make_app()
    async with opened(app, (80, 24)):
        text = screen_text(app)
    assert "▲" not in text and "health" not in text


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("width", [80, 120, 240])
def test_each_of_72_gpus_of_a_rack_is_drawn_where_the_mouse_finds_it(density: Density, width: int) -> None:
    cluster = make_cluster(1, 72)
    node = cluster.nodes[0]
    for index in range(1, 72, 2):
        node = changed(node, index, unhealthy_reason="lost")
    view = ClusterMap(lambda _: ())
    view._scene, view.density = Scene(cluster.model_copy(update={"nodes": (node,)})), density
    grid = view.grid(width)
    assert grid is not None
    lines = [view.draw_line(line + 1, width, STYLES).plain.ljust(width) for line in range(grid.num_lines)]
    cells = cells_of(grid, width)
    assert max(len(line) for line in lines) == width
    for number in range(72):
        drawn = "".join(lines[line][x] for line, x in sorted(cells[Spot(0, number)]))
        assert ("!" in drawn) == (number % 2 == 1), (number, drawn)
