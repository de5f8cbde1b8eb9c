"""What is shown of a node of a Ray cluster: late, without a probe, gone, or counted otherwise by Ray."""

from __future__ import annotations

import time
from typing import Any

import pytest

from cluster.bridge.driver import watched_node
from cluster.bridge.driver.node_look import NodeLook
from cluster.bridge.driver.watched_node import FIRST_ANSWER_S, WatchedNode, watch
from cluster.inventory import Gpu, Node
from cluster.probe.query import NO_GPUS, NO_LIBRARY
from cluster.telemetry import NodeReading, NodeState

GIB = 2**30


def watched(num_gpus: int = 0, **labels: str) -> WatchedNode:
    return watch(
        {"NodeID": "id", "NodeName": "gpu-a", "Resources": {"GPU": float(num_gpus)}, "Labels": labels}
    )


def node(num_gpus: int = 0, error: str | None = None, **changes: Any) -> Node:
    gpus = tuple(
        Gpu(index=i, uuid=f"GPU-{i}", type="X", memory_total_bytes=80 * GIB, **changes)
        for i in range(num_gpus)
    )
    return Node(node_id="id", name="gpu-a", gpus=gpus, error=error)


def reading(state: NodeState = "ok", reason: str | None = None) -> NodeReading:
    return NodeReading(node_id="id", taken_at_s=time.time(), state=state, reason=reason)


def look(seen: Node, now: NodeReading, clock_s: float | None = None) -> NodeLook:
    """Return a probe's first answer."""
    return NodeLook(now, time.time() if clock_s is None else clock_s, (1, 0), seen, None)


def error_after(ray_gpus: int, seen: Node, state: NodeState = "ok", **labels: str) -> str:
    one = watched(ray_gpus, **labels)
    one.answered(look(seen, reading(state, "why not")))
    return one.shown().error or ""


def test_equal_counts_are_no_error() -> None:
    assert error_after(4, node(4)) == ""


@pytest.mark.parametrize("why", [NO_LIBRARY, NO_GPUS])
def test_a_machine_without_gpus_is_no_error_where_ray_counts_none(why: str) -> None:
    assert error_after(0, node(error=why), "no_gpus") == ""


def test_a_broken_driver_is_an_error_where_ray_counts_no_gpu() -> None:
    assert error_after(0, node(error="the NVIDIA driver is not loaded"), "no_gpus").endswith("not loaded")


def test_gpus_that_nvml_does_not_show() -> None:
    error = error_after(8, node(error=NO_LIBRARY), "no_gpus")
    assert error.startswith(f"Ray counts 8 GPUs, NVML shows none ({NO_LIBRARY}, and the amdgpu driver lists")
    assert "Install the GPU driver there" in error


def test_gpus_that_ray_knows_to_be_amd() -> None:
    error = error_after(8, node(error=NO_LIBRARY), "no_gpus", **{"ray.io/accelerator-type": "AMD-Instinct-X"})
    assert "(AMD-Instinct-X: the kernel's amdgpu driver lists no GPU there)" in error
    assert "modprobe amdgpu" in error
    assert "NVIDIA" not in error


def test_amd_gpus_that_ray_leaves_out() -> None:
    error = error_after(2, node(4, vendor="amd"))
    assert error.startswith("Ray counts 2 GPUs, amdgpu shows 4. Ray uses only 2 of them")
    assert error.endswith("without ROCR_VISIBLE_DEVICES")


def test_the_node_line_keeps_both_counts_where_the_driver_gave_a_reason() -> None:
    one = watched(8)
    one.answered(look(node(error=NO_LIBRARY), reading("no_gpus", NO_LIBRARY)))
    assert one.reading_now().reason == "Ray counts 8 GPUs, NVML shows none"


@pytest.mark.parametrize(
    ("ray_gpus", "told"),
    [
        (1, "Ray counts 1 GPU, NVML shows 4. Ray uses only 1 of them"),
        (0, "Ray counts no GPU, NVML shows 4. Ray uses none of them"),
        (8, "Ray counts 8 GPUs, NVML shows 4. Restart Ray there with --num-gpus=4"),
    ],
)
def test_other_counts(ray_gpus: int, told: str) -> None:
    assert error_after(ray_gpus, node(4)).startswith(told)


def test_ray_counts_a_gpu_once_that_is_cut_into_slices() -> None:
    assert error_after(1, node(3, mig_parent_uuid="GPU-parent")) == ""


@pytest.mark.parametrize("state", ["stale", "hung"])
def test_gpus_not_read_yet_are_no_matter_of_counts(state: NodeState) -> None:
    error = error_after(4, node(), state)
    assert error == "its GPUs could not be read (Ray counts 4): why not"


def test_a_late_probe_is_waited_for_and_then_given_up() -> None:
    one = watched(4)
    assert (one.settled, one.reading_now().state) == (False, "stale")
    assert one.shown().error == "the probe on this node has not responded yet"
    one.first_seen_s -= FIRST_ANSWER_S + 1
    assert (one.settled, one.reading_now().state) == (True, "lost")
    assert one.shown().error == "the probe on this node did not respond within 40 s"


def test_a_probe_that_cannot_start_is_tried_again_after_longer_and_longer_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watched_node.time, "time", lambda: 100.0)
    one = watched(4)
    pauses = []
    for _ in range(7):
        one.failed("ModuleNotFoundError: No module named 'pydantic'")
        pauses.append(one.next_start_s - 100.0)
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert one.settled
    assert one.reading_now().state == "lost"
    assert one.shown().error == (
        "the probe on this node cannot start: ModuleNotFoundError: No module named 'pydantic'"
    )
    one.answered(look(node(4), reading(), 100.0))
    assert (one.shown().error, one.failed_starts) == (None, 0)


def test_a_node_that_left_keeps_its_gpus_and_has_a_reason() -> None:
    one = watched(4)
    one.answered(look(node(4), reading()))
    one.left("raylet stopped")
    assert [gpu.usable for gpu in one.shown().gpus] == [False] * 4
    assert one.shown().error == "the node left the cluster: raylet stopped"
    assert (one.reading_now().state, one.reading_now().reason) == ("lost", "left the cluster")


def test_a_node_that_left_before_it_was_read_is_told_too() -> None:
    one = watched(4)
    one.left("raylet stopped")
    left = one.shown().left
    assert left is not None and (left.reason, left.held, one.shown().gpus) == ("raylet stopped", (), ())


def test_readings_are_told_on_our_clock() -> None:
    one = watched(4)
    one.answered(look(node(4), reading().model_copy(update={"taken_at_s": 999.0}), 1000.0))
    assert abs(one.reading_now().taken_at_s - (time.time() - 1.0)) < 0.5
