"""A scene in motion: what the simulated GPUs show at which time."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from cluster.catalog.gpus import find_gpu
from cluster.detail import GpuDetail
from cluster.probe.simulated import SimulatedGpus
from cluster.scenes.cluster import cluster_at, simulated_cluster
from cluster.scenes.load import load_scene
from cluster.scenes.play import NodePlay
from cluster.scenes.scene import Scene
from cluster.telemetry import GpuReading
from cluster.units import GIB

ASSETS = Path(__file__).parents[3] / "assets" / "clusters"


class Stage:
    """One node's play, which begins at Unix time 1000."""

    def __init__(self, *faults: dict[str, Any], loads: tuple[dict[str, Any], ...] = ()) -> None:
        entries = {"faults": [{"node": "node-1", **one} for one in faults]}
        entries["loads"] = [{"node": "node-1", **one} for one in loads]
        scene = Scene.model_validate({"cluster": "1x4xH100", **entries})
        self.gpus = SimulatedGpus(find_gpu("H100"), 4, "id")
        self.play = NodePlay(scene, "node-1", self.gpus, 1000.0)

    def at(self, scene_s: float) -> tuple[tuple[GpuReading, ...], tuple[GpuDetail, ...]]:
        now_s = 1000.0 + scene_s
        self.play.advance(now_s)
        return self.play.reading(now_s).gpus, self.play.detail(now_s).gpus


def test_a_throttle_begins_and_ends_at_its_times() -> None:
    stage = Stage({"kind": "throttle", "gpus": [1], "at_s": 10, "until_s": 20, "sm_clock_mhz": 345})
    stage.gpus.set_load(1, GIB, 1.0, 1.0, "rank")
    clocks = {}
    for second in range(0, 30, 5):
        readings, _ = stage.at(second)
        clocks[second] = (readings[1].sm_clock_mhz, readings[1].throttle_reasons)
    assert clocks[5] == clocks[20] == clocks[25] == (1980.0, ())
    assert clocks[10] == clocks[15] == (345.0, ("hw_thermal",))


def test_heat_comes_and_goes_smoothly() -> None:
    stage = Stage({"kind": "hot", "gpus": [0], "at_s": 10, "until_s": 60, "temperature_c": 92})
    degrees = [stage.at(second)[0][0].temperature_c or 0 for second in range(300)]
    assert degrees[9] < 40
    assert degrees[40] >= 91
    assert degrees[299] < 40
    assert max(abs(b - a) for a, b in pairwise(degrees)) < 20


def test_what_is_there_from_the_beginning_is_there_at_once() -> None:
    readings, _ = Stage({"kind": "hot", "gpus": [0], "temperature_c": 92}).at(0)
    assert readings[0].temperature_c == 92


def test_slow_faults_are_in_the_slow_figures() -> None:
    stage = Stage(
        {"kind": "links_down", "gpus": [0], "count": 4, "errors": 7},
        {"kind": "narrow_pcie", "gpus": [0], "generation": 1, "width": 4},
        {"kind": "ecc", "gpus": [0], "corrected": 2, "uncorrected": 1},
        {"kind": "remap", "gpus": [0], "pending": True},
        {"kind": "xid", "gpus": [0], "code": 94, "at_s": 3},
        {"kind": "recovery", "gpus": [0]},
    )
    _, (sick, well, *_) = stage.at(5)
    assert sum(link.active for link in sick.links) == len(sick.links) - 4 == 14
    assert (sick.pcie_generation, sick.pcie_width) == (1, 4)
    assert (sick.ecc.volatile_corrected, sick.ecc.volatile_uncorrected) == (2, 1)
    assert (sick.remap_pending, sick.remap_failed, sick.recovery_action) == (True, False, "GPU reset")
    assert [(xid.code, xid.at_s) for xid in sick.xids] == [(94, 1003.0)]
    assert all(link.active for link in well.links)
    assert (well.pcie_generation, well.pcie_width, well.recovery_action, well.xids) == (5, 16, "none", ())


def test_a_lost_gpu_has_no_figure_and_every_reason() -> None:
    stage = Stage({"kind": "lost", "gpus": [2], "at_s": 1})
    assert stage.at(0)[0][2].error is None
    readings, details = stage.at(2)
    assert readings[2].temperature_c is None
    assert "lost" in (readings[2].error or "")
    assert "lost" in readings[2].absent["temperature_c"]
    assert details[2].pcie_width is None
    assert "lost" in (stage.play.node(1002.0).gpus[2].unhealthy_reason or "")
    assert readings[1].error is None


def test_loads_are_processes_beside_a_deployment() -> None:
    train = {"gpus": [0], "process": "train", "user": "bob", "memory_gib": 20, "busy": 0.5, "until_s": 10}
    stage = Stage(loads=(train, {"gpus": [0], "memory_gib": 5, "other_namespace": True, "pid": 77}))
    stage.gpus.set_load(0, 30 * GIB, 1.0, 0.25, "rank 0")
    (gpu, *_), _ = stage.at(5)
    assert [(p.name, p.user, p.memory_bytes) for p in gpu.processes] == [
        ("rank 0", None, 30 * GIB),
        ("train", "bob", 20 * GIB),
        (None, None, 5 * GIB),
    ]
    assert (gpu.processes[2].pid, gpu.processes[2].other_namespace) == (77, True)
    assert 70 <= (gpu.utilization_percent or 0) <= 80
    assert [p.name for p in stage.at(11)[0][0].processes] == ["rank 0", None]


def test_a_node_that_is_down_or_hangs_keeps_its_last_reading() -> None:
    stage = Stage(
        {"kind": "node_hung", "at_s": 5, "until_s": 8, "gpu": 3},
        {"kind": "node_down", "at_s": 20, "until_s": 30},
    )
    seen = {}
    for second in (4, 6, 9, 21, 31):
        stage.at(second)
        seen[second] = stage.play.reading(1000.0 + second)
    assert [seen[second].state for second in seen] == ["ok", "hung", "ok", "lost", "ok"]
    assert seen[6].taken_at_s == 1004.0
    assert "GPU 3 has not returned for 1 s" in (seen[6].reason or "")
    down, back = stage.play.node(1021.0), stage.play.node(1031.0)
    assert down.left is not None
    assert down.left.at_s == 1020.0
    assert not any(gpu.healthy for gpu in down.gpus)
    assert back.left is None
    assert all(gpu.healthy for gpu in back.gpus)


def test_the_same_scene_shows_the_same_twice() -> None:
    scene = load_scene(ASSETS / "bad-day.toml")
    shows = []
    for _ in range(2):
        play = NodePlay(scene, "node-2", SimulatedGpus(find_gpu("H100"), 8, "id", scene.seed), 0.0)
        seen = []
        for second in range(0, 160, 7):
            play.advance(float(second))
            seen.append((play.node(float(second)), play.reading(float(second)), play.detail(float(second))))
        shows.append(seen)
    assert shows[0] == shows[1]


def test_hostile_names_are_clean_before_anything_shows_them() -> None:
    (node,) = cluster_at(load_scene(ASSETS / "hostile-names.toml")).nodes
    text = node.model_dump_json()
    for character in ("\\u001b", "\\u009b", "\\u0007", "\u009b", "\u202e", "\u200b"):
        assert character not in text
    assert node.name == "]0;ownednode8m-1"


def test_a_plan_is_made_on_the_sick_cluster_as_it_is() -> None:
    (node,) = simulated_cluster(str(ASSETS / "sick-gpus.toml")).nodes
    assert node.name == "ward-1"
    assert not node.gpus[5].usable
    assert node.gpus[1].memory_free_bytes < 25 * GIB  # type: ignore[operator]
    still = simulated_cluster("1x8xH100")
    assert all(gpu.usable for gpu in still.nodes[0].gpus)
