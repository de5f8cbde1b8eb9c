"""The topology view: links as they are, the matrix, and what the highlighted layout uses."""

from __future__ import annotations

from typing import Any

from cluster.bridge.events import ClusterSeen, DetailsSeen
from cluster.detail import GpuDetail, NodeDetail, NvLinkReading
from cluster.gpu_facts import NodeFacts
from cluster.gpu_health import Health, Slowdown
from cluster.inventory import Cluster
from cluster.planner.exchanges import exchanges_of
from tests.tui.builders import NOW_S, make_cluster, make_plan, make_readings
from tests.tui.conftest import make_app, opened, screen_text, until
from tests.tui.linked import detail, with_facts
from tui.screens.topology import TopologyScreen
from tui.topology.links import TwoLooks
from tui.topology.node import NodeTopology, links_down, node_topology
from tui.topology.sent import sent_on


def topology(layout: int, down: tuple[int, ...] = (), before: NodeDetail | None = None) -> NodeTopology:
    """The first node under one of the recorded layouts."""
    cluster = with_facts(make_cluster())
    candidate = make_plan(cluster).candidates[layout]
    exchanges = exchanges_of(candidate, cluster)
    node = cluster.nodes[0]
    return node_topology(node, TwoLooks(detail(down=down), before), exchanges.of_node(node.node_id))


def cells(shown: NodeTopology) -> list[list[str]]:
    return [
        [("[" if cell.lit else "") + cell.text + ("!" if cell.worse else "") for cell in row]
        for row in shown.matrix.cells
    ]


def test_an_all_reduce_lights_every_link_of_its_group() -> None:
    shown = topology(0)
    ((name, gpus),) = shown.islands
    assert name == "0" and [gpu.num_up for gpu in gpus] == [4, 4, 4, 4]
    assert all(mark.lit for gpu in gpus for mark in gpu.links)
    assert cells(shown)[0] == ["X", "[NV4", "[NV4", "[NV4", "PIX", "SYS"]
    assert [(gpu.near_path, gpu.near_ports) for gpu in gpus][1:3] == [
        ("PXB", ("mlx5_0",)),
        ("PIX", ("mlx5_1",)),
    ]
    assert gpus[0].bytes_per_s == 100e9 and gpus[0].remotes == ("switch",)


def test_links_that_are_down_are_not_lit_and_count_in_the_matrix() -> None:
    shown = topology(0, down=(1, 2))
    second = shown.islands[0][1][1]
    assert [(mark.active, mark.lit) for mark in second.links] == [
        (True, True),
        (False, False),
        (False, False),
        (True, True),
    ]
    assert cells(shown)[1] == ["[NV2!", "X", "[NV2!", "[NV2!", "PXB", "SYS"]
    assert cells(shown)[0][2] == "[NV4"
    assert links_down([detail(down=(1, 2)), detail(1)]) == {"id-0": 2}


def test_stages_on_two_nodes_light_the_way_to_the_nearest_network_device() -> None:
    shown = topology(3)  # TP=4, PP=2: each stage on a node
    assert [row[4:] for row in cells(shown)[:4]] == [
        ["[PIX", "SYS"],
        ["[PXB", "SYS"],
        ["SYS", "[PIX"],
        ["SYS", "[PXB"],
    ]
    assert not any("[" in cell for row in cells(topology(0)) for cell in row[4:])


def test_direct_links_are_lit_only_towards_a_partner() -> None:
    cluster = with_facts(make_cluster(1), None)
    node = cluster.nodes[0]
    plan = make_plan(make_cluster(1))
    pair = exchanges_of(plan.candidates[1], cluster).of_node("id-0")  # TP=2: GPUs 0 and 1
    remotes = ("0000:2B:00.0", "0000:2B:00.0", "0000:3B:00.0", "0000:4B:00.0")
    links = tuple(
        NvLinkReading(link=number, active=True, remote=remote) for number, remote in enumerate(remotes)
    )
    back = tuple(NvLinkReading(link=number, active=True, remote="0000:1B:00.0") for number in range(2))
    look = NodeDetail(
        node_id="id-0",
        taken_at_s=NOW_S,
        gpus=(GpuDetail(uuid="GPU-0-0", links=links), GpuDetail(uuid="GPU-0-1", links=back)),
    )
    shown = node_topology(node, TwoLooks(look), [one for one in pair if one.kind == "all-reduce"])
    first = shown.islands[0][1][0]
    assert [mark.lit for mark in first.links] == [True, True, False, False]
    assert first.remotes == ("GPU 1", "GPU 2", "GPU 3")
    assert cells(shown)[0][:2] == ["X", "[NV2"]


def test_rates_come_from_two_looks_and_a_counter_that_began_again_gives_none() -> None:
    shown = topology(0, before=detail(at_s=NOW_S - 4, sent=0))
    assert shown.islands[0][1][0].sent_bytes_per_s == 0
    cluster = with_facts(make_cluster())
    node = cluster.nodes[0]
    looks = TwoLooks(detail(sent=8_000), detail(at_s=NOW_S - 4, sent=4_000))
    gpu = node_topology(node, looks).islands[0][1][0]
    assert (gpu.sent_bytes_per_s, gpu.received_bytes_per_s) == (4_000, 8_000)
    reloaded = TwoLooks(detail(sent=10), detail(at_s=NOW_S - 4, sent=4_000))
    assert node_topology(node, reloaded).islands[0][1][0].sent_bytes_per_s is None


def test_without_paths_the_matrix_says_why_and_shows_islands() -> None:
    cluster = with_facts(make_cluster(), NodeFacts(absent={"paths": "not permitted"}))
    first, second, *rest = cluster.nodes[0].gpus
    alone = second.model_copy(update={"nvlink_island": None})
    node = cluster.nodes[0].model_copy(update={"gpus": (first, alone, *rest)})
    shown = node_topology(node, TwoLooks())
    assert "not permitted" in shown.matrix.remark
    assert cells(shown)[0] == ["X", "?", "NV", "NV"]
    assert [name for name, _ in shown.islands] == ["0", None]


def sent_text(layout: int, cluster: Cluster) -> str:
    plan = make_plan(cluster)
    candidate = plan.candidates[layout]
    sent = sent_on(cluster.nodes[0], exchanges_of(candidate, cluster), plan, candidate)
    lines = [f"{line.name} | {line.gpus} | {line.link} | {line.remark}" for line in sent.lines]
    return "\n".join([sent.title, *lines, *sent.costs])


def test_what_a_layout_sends_is_said_with_its_cost() -> None:
    text = sent_text(3, make_cluster())
    assert "R0 all-reduces | GPU 0 1 2 3 | over NVLink | " in text
    assert "R0 S0→S1 | GPU 0→node-1:0 1→node-1:1 2→node-1:2 3→node-1:3 | over the network | " in text
    assert "all-reduces: 160 per token take " in text and "18% of a decode step" in text
    assert "stage hops: 1 per token take" in text


def test_links_that_slow_a_layout_down_are_named() -> None:
    cluster = make_cluster()
    first, *rest = cluster.nodes[0].gpus
    slow = first.model_copy(update={"health": Health(state="degraded", slowdown=Slowdown(nvlink=0.5))})
    node = cluster.nodes[0].model_copy(update={"gpus": (slow, *rest)})
    text = sent_text(0, cluster.model_copy(update={"nodes": (node, cluster.nodes[1])}))
    assert "slowed down: GPU 0 at 50% of its link" in text


def test_why_nothing_is_sent_is_said() -> None:
    cluster = make_cluster()
    plan = make_plan(cluster)
    rejected = plan.candidates[-1]
    exchanges = exchanges_of(rejected, cluster)
    assert "not placed" in sent_on(cluster.nodes[0], exchanges, plan, rejected).title
    alone = plan.candidates[2]  # TP=4 on the first node
    elsewhere = sent_on(cluster.nodes[1], exchanges_of(alone, cluster), plan, alone)
    assert "uses no GPU of this node" in elsewhere.title
    assert sent_on(cluster.nodes[0], exchanges, None, None).title == "No layout is highlighted."


def app_of(*details: NodeDetail) -> Any:
    cluster = with_facts(make_cluster())
    return make_app((ClusterSeen(cluster=cluster), make_readings(cluster), DetailsSeen(nodes=details)))


async def test_the_screen_shows_a_node_and_moves_to_the_one_with_links_down() -> None:
    app = app_of(detail(0), detail(1, down=(0, 1)))
    async with opened(app, (120, 40)) as pilot:
        await pilot.press("T")
        await until(pilot, lambda: "[NV4]" in screen_text(app))
        text = screen_text(app)
        assert "Topology of node-0" in text and "all 4 up" in text and "━━━━" in text
        assert "2 NVLinks down on node-1" in text and "DOWN" in text
        await pilot.press("d")
        await until(pilot, lambda: "Topology of node-1" in screen_text(app))
        assert "2 of 4 up, down: 0,1" in screen_text(app) and "××━━" in screen_text(app)
        await pilot.press("tab")
        await until(pilot, lambda: "Topology of node-0" in screen_text(app))
        await pilot.press("right", "right", "end", "escape")
        await pilot.pause()
        assert not isinstance(app.screen, TopologyScreen)


async def test_finding_a_node_that_is_not_there_says_so() -> None:
    app = app_of(detail(0))
    async with opened(app) as pilot:
        await pilot.press("T")
        await until(pilot, lambda: "[NV4]" in screen_text(app))
        await pilot.press("slash", *"zz", "enter")
        await until(pilot, lambda: "no node has 'zz' in its name" in screen_text(app))
        await pilot.press("slash", *"E-1", "enter")
        await until(pilot, lambda: "Topology of node-1" in screen_text(app))
