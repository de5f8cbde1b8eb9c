"""The process list: its rows, sorting, filter, and screen."""

from __future__ import annotations

import pytest

from cluster.bridge.events import ClusterSeen, DeploymentsSeen, ReadingsSeen
from cluster.errors import BadInput
from cluster.inventory import Cluster, GpuProcess
from cluster.units import GIB
from tests.tui.builders import make_cluster, make_deployment, make_readings, opening_events
from tests.tui.conftest import make_app, opened, screen_text, until
from tui.pace import Pace
from tui.process_rows import FIELDS, by_user, process_list
from tui.row_filter import parse_filter
from tui.screens.gpu_page import GpuPage
from tui.screens.processes import COLUMNS, ProcessesScreen, summarize
from tui.store import Snapshot, Store
from tui.table import fitted, in_order
from tui.views import Place
from tui.widgets.table_view import TableView

TRAIN = GpuProcess(
    pid=411, name="python", user="bob", memory_bytes=40 * GIB, sm_percent=97, command="python train.py --lr 3"
)
SERVE = GpuProcess(pid=502, name="vllm", user="alice", memory_bytes=20 * GIB, sm_percent=3)
HIDDEN = GpuProcess(pid=603, memory_bytes=2 * GIB, other_namespace=True)
HOSTILE = GpuProcess(pid=704, name="\x1b]0;gone\x07[/red]", user="[@click=app.quit]", memory_bytes=GIB)


def readings(cluster: Cluster, *processes: GpuProcess, used: int = 70 * GIB) -> ReadingsSeen:
    """Readings in which the first GPU of the first node runs these processes."""
    first, *others = make_readings(cluster).nodes
    gpu, *rest = first.gpus
    busy = gpu.model_copy(update={"processes": processes, "memory_used_bytes": used})
    return ReadingsSeen(nodes=(first.model_copy(update={"gpus": (busy, *rest)}), *others))


def snapshot(*processes: GpuProcess, used: int = 70 * GIB, **first_node: object) -> Snapshot:
    cluster, store = make_cluster(), Store()
    seen = readings(cluster, *processes, used=used)
    first, *others = seen.nodes
    for event in (ClusterSeen(cluster=cluster), seen):
        store.apply(event)
    store.apply(ReadingsSeen(nodes=(first.model_copy(update=first_node), *others)))
    return store.snapshot


def test_processes_and_the_memory_that_none_accounts_for_are_rows() -> None:
    rows = process_list(snapshot(TRAIN, SERVE)).rows
    assert [(row.pid, row.user, row.name, row.memory_bytes) for row in rows] == [
        (411, "bob", "python", 40 * GIB),
        (502, "alice", "vllm", 20 * GIB),
        (None, None, "(not listed)", 10 * GIB),
    ]
    assert {(row.node, row.gpu.index) for row in rows} == {("node-0", 0)}


def test_memory_is_not_called_unlisted_where_that_is_unknown_or_the_drivers_own() -> None:
    silent = GpuProcess(pid=9, name="x")
    assert [row.pid for row in process_list(snapshot(silent)).rows] == [9]
    assert process_list(snapshot(used=GIB // 2)).rows == ()


def test_a_node_that_does_not_answer_lists_nothing_and_is_named() -> None:
    found = process_list(snapshot(TRAIN, state="lost"))
    assert found.rows == () and found.silent_nodes == ("node-0",)


def test_a_saved_cluster_lists_the_processes_of_its_inventory() -> None:
    cluster, store = make_cluster(), Store()
    first, *others = cluster.nodes
    gpu = first.gpus[0].model_copy(update={"processes": (TRAIN,), "claimed_by": "ray job 7"})
    node = first.model_copy(update={"gpus": (gpu, *first.gpus[1:])})
    store.apply(ClusterSeen(cluster=cluster.model_copy(update={"nodes": (node, *others)})))
    (row,) = process_list(store.snapshot).rows
    assert (row.pid, row.holder) == (411, "ray job 7")


def test_a_process_of_another_namespace_is_named_as_such_and_deployments_hold_their_gpus() -> None:
    cluster, store = make_cluster(), Store()
    for event in (
        ClusterSeen(cluster=cluster),
        readings(cluster, HIDDEN, used=2 * GIB),
        DeploymentsSeen(deployments=(make_deployment(cluster, serving=True),)),
    ):
        store.apply(event)
    (row,) = process_list(store.snapshot).rows
    assert (row.name, row.holder) == ("(another PID namespace)", "llama-3-1-70b-1 R0·T0")


def test_rows_without_a_value_sort_last_in_both_directions() -> None:
    rows = process_list(snapshot(SERVE, TRAIN, HIDDEN)).rows
    user = next(column for column in COLUMNS if column.name == "user")
    assert [row.user for row in in_order(rows, user.key, down=False)] == ["alice", "bob", None, None]
    assert [row.user for row in in_order(rows, user.key, down=True)] == ["bob", "alice", None, None]


@pytest.mark.parametrize(
    ("typed", "pids"),
    [
        ("", [411, 502, 603]),
        ("TRAIN", [411]),
        ("node-0 !train", [502, 603]),
        ("mem>19", [411, 502]),
        ("mem>=20 sm<50", [502]),
        ("user=bob", [411]),
        ("user!=bob", [502, 603]),
        ("gpu=0 mem<=2", [603]),
        ("--lr", [411]),
        ("a=b", []),
        ("(a+)+$", []),
    ],
)
def test_filters(typed: str, pids: list[int]) -> None:
    rows = process_list(snapshot(TRAIN, SERVE, HIDDEN, used=62 * GIB)).rows
    kept = parse_filter(typed, FIELDS).kept(rows)
    assert [row.pid for row in kept] == pids


def test_a_condition_without_a_number_is_bad_input() -> None:
    with pytest.raises(BadInput, match="'ten' is not a number"):
        parse_filter("mem>ten", FIELDS)
    with pytest.raises(BadInput, match="'mem>'"):
        parse_filter("mem>", FIELDS)


def test_users_add_up_and_a_process_on_two_gpus_is_one() -> None:
    cluster, store = make_cluster(1, 2), Store()
    (node,) = readings(cluster, TRAIN, used=40 * GIB).nodes
    gpus = [
        gpu.model_copy(update={"processes": (TRAIN,), "memory_used_bytes": 40 * GIB}) for gpu in node.gpus
    ]
    for event in (
        ClusterSeen(cluster=cluster),
        ReadingsSeen(nodes=(node.model_copy(update={"gpus": tuple(gpus)}),)),
    ):
        store.apply(event)
    found = process_list(store.snapshot)
    (bob,) = by_user(found.rows)
    assert (bob.user, bob.processes, bob.gpus, bob.memory_bytes) == ("bob", 1, 2, 80 * GIB)
    assert summarize(found) == "1 process holds 80.0 GiB: bob 80.0 GiB"


@pytest.mark.parametrize("width", [40, 80, 120, 240])
def test_columns_fill_a_line_and_no_more(width: int) -> None:
    shown = fitted(COLUMNS, width)
    assert shown[-1].start + shown[-1].cells == max(width, shown[-1].start + 12)


def test_what_takes_long_is_done_less_often() -> None:
    now = [100.0]
    pace = Pace(lambda: now[0])
    with pace.look():
        now[0] += 0.05
    now[0] += 1.0
    assert pace.is_due
    with pace.look():
        now[0] += 1.0
    now[0] += 8.0
    assert not pace.is_due
    now[0] += 1.0
    assert pace.is_due


def app_with(*processes: GpuProcess) -> object:
    cluster = make_cluster()
    return make_app((*opening_events(cluster), readings(cluster, *processes)))


async def test_the_screen_sorts_by_memory_filters_as_it_is_typed_and_adds_up_users() -> None:
    app = app_with(SERVE, TRAIN)
    async with opened(app) as pilot:
        await pilot.press("P")
        await until(pilot, lambda: "train.py" in screen_text(app))
        lines = screen_text(app).splitlines()
        first, second = (next(n for n, line in enumerate(lines) if word in line) for word in ("411", "502"))
        assert first < second and "bob 40.0 GiB, alice 20.0 GiB" in screen_text(app)
        await pilot.press("slash", *"user=alice")
        await until(pilot, lambda: "1 of 3 match 'user=alice'" in screen_text(app))
        assert "train.py" not in screen_text(app)
        await pilot.press("enter", "escape", "u")
        await until(pilot, lambda: "processes" in screen_text(app))
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(app.screen, ProcessesScreen)


async def test_half_a_condition_is_explained_and_filters_nothing() -> None:
    app = app_with(SERVE, TRAIN)
    async with opened(app) as pilot:
        await pilot.press("P")
        await until(pilot, lambda: "train.py" in screen_text(app))
        await pilot.press("slash", *"mem>x")
        await until(pilot, lambda: "'x' is not a number" in screen_text(app))
        assert "train.py" in screen_text(app)


async def test_the_cursor_stays_on_its_process_when_others_come_before_it() -> None:
    cluster = make_cluster()
    app = make_app((*opening_events(cluster), readings(cluster, SERVE)))
    async with opened(app) as pilot:
        await pilot.press("P")
        view = app.screen.query_one(TableView)
        await until(pilot, lambda: len(view.rows) == 2)
        await pilot.press("end")
        assert view.selected.pid == 502
        app.context.session.say(readings(cluster, TRAIN, SERVE, used=61 * GIB))
        await until(pilot, lambda: any(row.pid == 411 for row in view.rows))
        assert view.selected.pid == 502


async def test_the_mouse_sorts_and_selects_and_enter_opens_the_gpu() -> None:
    app = app_with(SERVE, TRAIN)
    async with opened(app) as pilot:
        await pilot.press("P")
        view = app.screen.query_one(TableView)
        await until(pilot, lambda: len(view.rows) == 3)
        user = next(item for item in fitted(COLUMNS, view.size.width) if item.column.name == "user")
        await pilot.click("TableHead", offset=(user.start, 0))
        await until(pilot, lambda: view.rows[0].user == "alice")
        await pilot.click("TableHead", offset=(user.start, 0))
        await until(pilot, lambda: view.rows[0].user == "bob")
        await pilot.click("TableView", offset=(3, 1))
        assert view.selected.user == "alice"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, GpuPage))
        assert app.screen.place == Place("id-0", "GPU-0-0")


async def test_hostile_names_are_drawn_as_data() -> None:
    app = app_with(HOSTILE)
    async with opened(app) as pilot:
        await pilot.press("P")
        await until(pilot, lambda: "704" in screen_text(app))
        text = screen_text(app)
    assert "]0;gone[/red]" in text and "[@click=" in text and "\x1b" not in text


async def test_a_cluster_without_processes_says_so() -> None:
    app = make_app()
    async with opened(app) as pilot:
        await pilot.press("P")
        await until(pilot, lambda: "No process is known." in screen_text(app))
        await pilot.press("enter", "left", "r", "u")
        assert isinstance(app.screen, ProcessesScreen)
