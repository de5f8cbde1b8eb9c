"""A simulated node as its probe shows it, with a scene and with deployments on it."""

from __future__ import annotations

import time

from cluster.bridge.driver.node_look import NOTHING
from cluster.bridge.driver.node_probe import NodeProbe
from cluster.bridge.driver.simulated_node import SimulatedNode, is_simulated
from cluster.bridge.keeper.embedded import simulated_nodes
from cluster.bridge.protocol import Target
from cluster.cluster_spec import parse_cluster_spec
from cluster.scenes.play import Playing
from cluster.scenes.scene import Scene
from cluster.units import GIB

SCENE = Scene.model_validate(
    {
        "cluster": "2x2xA100-80GB",
        "nodes": [{"name": "gpu-a"}],
        "loads": [{"node": "gpu-a", "gpus": [1], "process": "train", "memory_gib": 10}],
        "faults": [{"kind": "lost", "node": "node-2", "gpus": [0], "at_s": 100}],
    }
)
LABELS = [plan.labels for plan in simulated_nodes(parse_cluster_spec("2x2xA100-80GB", "simulated"))]


def test_each_node_has_its_part_of_the_scene() -> None:
    playing = Playing(SCENE, time.time() - 101)
    first, second = (SimulatedNode(f"id-{i}", labels, playing) for i, labels in enumerate(LABELS))
    node, reading, detail = first.look()
    assert node.name == "gpu-a"
    assert [len(gpu.processes) for gpu in reading.gpus] == [0, 1]
    assert len(detail.gpus) == 2
    other, _, _ = second.look()
    assert other.name == "node-2"
    assert [gpu.healthy for gpu in other.gpus] == [False, True]


def test_loads_of_deployments_come_beside_those_of_the_scene_and_go() -> None:
    node = SimulatedNode("id", LABELS[0], Playing(SCENE, time.time()))
    node.put([(1, 30 * GIB, 1.0, 0.5, "rank 0")])
    assert [process.name for process in node.look()[1].gpus[1].processes] == ["rank 0", "train"]
    node.put([])
    assert [process.name for process in node.look()[1].gpus[1].processes] == ["train"]


def test_the_probe_actor_plays_it() -> None:
    probe = NodeProbe("id", "node-1", LABELS[0], {}, Playing(SCENE, time.time()))
    look = probe.look([], NOTHING)
    assert look.node is not None
    assert (look.node.name, look.reading.simulated) == ("gpu-a", True)
    assert look.detail is not None
    again = probe.look([], look.stamps)
    assert (again.node, again.detail) == (None, None)


def test_a_node_without_a_scene_is_as_its_labels_say() -> None:
    assert is_simulated(LABELS[1])
    node, reading, _ = SimulatedNode("id", LABELS[1]).look()
    assert (node.name, len(reading.gpus)) == ("node-2", 2)


def test_a_scene_travels_to_the_child() -> None:
    target = Target(simulate="2x2xA100-80GB", scene=SCENE)
    assert Target.model_validate_json(target.model_dump_json()) == target
