"""The pages of a GPU and of a node: every figure, and the reason for each that is missing."""

from __future__ import annotations

import pytest

from cluster.bridge.events import ClusterSeen, DeploymentsSeen, ReadingsSeen
from cluster.detail import EccCounts, GpuDetail
from cluster.gpu_facts import GpuFacts, NodeFacts
from cluster.inventory import GpuProcess, Node
from cluster.telemetry import GpuReading, HostReading, NodeReading
from tests.tui.builders import NOW_S, make_cluster, make_deployment, make_readings, opening_events
from tests.tui.conftest import make_app, opened, screen_text, until
from tests.tui.fake_session import FakeSession
from tests.tui.sick import changed, sick_cluster, sick_events
from tui import gpu_figures, node_figures
from tui.screens.gpu_page import GpuPage
from tui.screens.node_page import NodePage
from tui.views import Place, ViewContext

# Shown by parts of the pages that are no tables of figures.
ELSEWHERE = {
    "reading": {"uuid", "absent", "error", "processes"},
    "detail": {"uuid", "absent", "links", "xids", "ecc"},
    "facts": {"absent"},
    "host": {"absent"},
    "node_facts": {"absent", "paths", "devices", "numa_nodes"},
}


def fields(lane: str, model: type) -> set[str]:
    """The fields of a type that its lane must show, as paths."""
    names = set(model.model_fields) - ELSEWHERE.get(lane, set())  # type: ignore[attr-defined]
    return {f"{lane}.{name}" for name in names}


def test_every_figure_that_is_read_is_shown() -> None:
    wanted = fields("reading", GpuReading) | fields("detail", GpuDetail) | fields("facts", GpuFacts)
    wanted |= {f"detail.ecc.{name}" for name in EccCounts.model_fields}
    assert wanted - gpu_figures.SHOWN == set()
    node_wanted = fields("host", HostReading)
    node_wanted |= {f"facts.{name}" for name in set(NodeFacts.model_fields) - ELSEWHERE["node_facts"]}
    assert node_wanted - node_figures.SHOWN == set()


def values_of(gpu_detail: GpuDetail | None = None, **reading: object) -> dict[str, tuple[str | None, str]]:
    """Figures of a GPU by name: value and reason."""
    gpu = make_cluster(1, 1).nodes[0].gpus[0].model_copy(update={"facts": GpuFacts(max_sm_clock_mhz=1980.0)})
    latest = GpuReading.model_validate({"uuid": gpu.uuid, **reading})
    groups = gpu_figures.gpu_figures(gpu, latest, gpu_detail, "hung", "the slow lane is late")
    return {
        f"{group.title}: {item.name}": (item.value, item.reason) for group in groups for item in group.figures
    }


def test_a_missing_figure_has_the_readers_reason_or_its_lanes() -> None:
    values = values_of(sm_clock_mhz=345.0, absent={"fan_percent": "not supported by this GPU"})
    assert values["Speed: SM clock"] == ("345 MHz of 1,980 MHz", "")
    assert values["Heat and power: fan"] == (None, "not supported by this GPU")
    assert values["PCIe: generation"] == (None, "the slow lane is late")
    assert values["Heat and power: slows down at"] == (None, "not reported")
    assert values["Identity: MIG profile"] == (None, "a whole GPU")
    detail = GpuDetail(uuid="x", absent={"ecc": "ECC is off", "ecc.volatile_corrected": "no permission"})
    values = values_of(detail)
    assert values["Errors and repairs: ECC corrected, since driver load"] == (None, "no permission")
    assert values["Errors and repairs: ECC corrected, lifetime"] == (None, "ECC is off")


def test_zero_and_no_are_values() -> None:
    values = values_of(GpuDetail(uuid="x", remap_pending=False, pcie_replays=0), utilization_percent=0.0)
    assert values["Speed: utilization"] == ("0%", "")
    assert values["Errors and repairs: row remap pending"] == ("no", "")
    assert values["PCIe: replays"] == ("0", "")
    assert values_of(throttle_reasons=())["Speed: clocks held down by"] == ("none", "")


async def opened_text(app: object, pilot: object, page: object) -> str:
    """Push a page and return its whole text."""
    app.push_screen(page)  # type: ignore[attr-defined]
    await pilot.pause()  # type: ignore[attr-defined]
    return screen_text(app)


def page_context(app: object) -> ViewContext:
    return app.main_screen.dialogs.view_context  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("width", [80, 120])
async def test_the_page_of_a_gpu_shows_everything(width: int) -> None:
    app = make_app(sick_events(sick_cluster()))
    async with opened(app, (width, 160)) as pilot:
        page = GpuPage(page_context(app), Place("id-0", "GPU-0-1"))
        text = " ".join((await opened_text(app, pilot, page)).split())
    for words in (
        "node-0 GPU 1 A100-80GB",
        "▲ degraded",
        "hot degraded 91 °C, slows down at 93 °C",
        "throttled degraded 345 of 1,980 MHz",
        "running nothing of ours",
        "held in Ray by nobody",
        "planned R0·T1 of TP=4, DP=2",
        "4711 ada 29.0 GiB n/a python train.py --lr 1e-4",
        "in another PID namespace",
        "345 MHz of 1,980 MHz",
        "hw thermal",
        "n/a not supported by this GPU",
        "generation 1 of 5",
        "ECC corrected, lifetime n/a no permission",
        "1 of 2 up",
        "25.0 GB/s",
        "switch",
        "! down",
        "NV18 GPU0",
        "Xid 94 60 s ago",
        "utilization 43%",
    ):
        assert words in text, words


@pytest.mark.parametrize("width", [80, 120])
async def test_the_page_of_a_node_shows_everything(width: int) -> None:
    app = make_app(sick_events(sick_cluster()))
    async with opened(app, (width, 120)) as pilot:
        text = " ".join((await opened_text(app, pilot, NodePage(page_context(app), Place("id-0")))).split())
    for words in (
        "Ray counts 8, 4 read",
        "hot +1",
        "left out",
        "R0·T1",
        "570.124.06",
        "CPUs 96",
        "the model cache",
        "mlx5_0/1 InfiniBand ! down 50.0 GB/s",
        "vllm 0.29.0",
    ):
        assert words in text, words


async def test_the_page_of_a_dead_node_says_since_when_why_and_what_ran_there() -> None:
    app = make_app(sick_events(sick_cluster()))
    async with opened(app, (120, 60)) as pilot:
        text = await opened_text(app, pilot, NodePage(page_context(app), Place("id-2")))
    for words in ("! dead 3 min · its raylet died", "ran there: llama-70b R1·T0", "X on the map"):
        assert words in text, words


async def test_the_page_says_what_of_ours_runs_and_follows_the_readings() -> None:
    cluster = make_cluster()
    status = make_deployment(cluster, serving=True)
    session = FakeSession((*opening_events(cluster), DeploymentsSeen(deployments=(status,))))
    app = make_app(session=session)
    async with opened(app, (120, 100)) as pilot:
        text = await opened_text(app, pilot, GpuPage(page_context(app), Place("id-0", "GPU-0-3")))
        assert "R0·T3 of llama-3-1-70b-1" in text
        session.say(make_readings(cluster, busy=70.0))
        await until(pilot, lambda: "79%" in screen_text(app))
        session.say(ReadingsSeen(nodes=(NodeReading(node_id="id-0", taken_at_s=NOW_S, state="hung"),)))
        await until(pilot, lambda: "no fresh reading  the node is hung" in screen_text(app))
        session.say(ClusterSeen(cluster=make_cluster(1, 2)))
        await until(pilot, lambda: "no longer part of the cluster" in screen_text(app))


async def test_arrows_go_to_the_next_gpu_and_n_to_its_node() -> None:
    app = make_app()
    async with opened(app, (120, 40)) as pilot:
        app.push_screen(GpuPage(page_context(app), Place("id-0", "GPU-0-3")))
        await pilot.pause()
        await pilot.press("right")
        await pilot.pause()
        assert "node-1  GPU 0" in screen_text(app)
        await pilot.press("left", "left", "n")
        await pilot.pause()
        assert isinstance(app.screen, NodePage)
        assert app.screen.place == Place("id-0")
        await pilot.press("left", "right", "right")
        assert app.screen.place == Place("id-1")
        await pilot.press("escape", "escape")
        assert app.screen is app.main_screen


@pytest.mark.parametrize("name", ["[/", "[@click=app.quit]q[/]" + "a" * 400])
async def test_hostile_names_are_text(name: str) -> None:
    cluster = make_cluster(1, 2)
    node: Node = changed(cluster.nodes[0], 0, type=name[:200], claimed_by=name, unhealthy_reason=name)
    node = node.model_copy(update={"name": name, "error": name, "engines_error": name})
    cluster = cluster.model_copy(update={"nodes": (node,)})
    readings = make_readings(cluster).nodes[0]
    process = GpuProcess(pid=1, user=name, command=name)
    gpus = tuple(gpu.model_copy(update={"processes": (process,)}) for gpu in readings.gpus)
    app = make_app(
        (ClusterSeen(cluster=cluster), ReadingsSeen(nodes=(readings.model_copy(update={"gpus": gpus}),)))
    )
    async with opened(app, (80, 60)) as pilot:
        for place in (Place("id-0", "GPU-0-0"), Place("id-0")):
            text = await opened_text(
                app,
                pilot,
                GpuPage(page_context(app), place) if place.gpu_uuid else NodePage(page_context(app), place),
            )
            assert name[:20] in text
            await pilot.press("escape")
    assert not app.return_code
