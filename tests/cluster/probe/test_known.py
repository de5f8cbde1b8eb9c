"""A GPU that cannot be read any more keeps what is known of it."""

from __future__ import annotations

from cluster.detail import GpuDetail, NodeDetail, XidEvent
from cluster.inventory import Gpu, Node
from cluster.probe.known import KnownGpus
from cluster.probe.readings import placeholder_uuid
from cluster.telemetry import GpuReading, NodeReading


def gpu(index: int, island: str | None = None, **changes: object) -> Gpu:
    fields = {"uuid": f"GPU-{index}", "type": "H100", "memory_total_bytes": 80, "nvlink_island": island}
    return Gpu(index=index, **{**fields, **changes})  # type: ignore[arg-type]


def unread(index: int) -> Gpu:
    return Gpu(
        index=index,
        uuid=placeholder_uuid(index),
        type="unknown GPU",
        memory_total_bytes=None,
        unhealthy_reason="it hangs",
    )


def node(*gpus: Gpu) -> Node:
    return Node(node_id="n", name="n", gpus=gpus)


def test_it_keeps_uuid_type_memory_and_island() -> None:
    known = KnownGpus()
    known.node(node(gpu(0, "nvlink-0", memory_free_bytes=7), gpu(1, "nvlink-0"), gpu(2, "nvlink-0")))
    kept = known.node(node(unread(0), gpu(1, "nvlink-0"), gpu(2, "nvlink-0"))).gpus[0]
    assert kept == gpu(0, "nvlink-0", unhealthy_reason="it hangs")
    reading = known.reading(
        NodeReading(node_id="n", taken_at_s=0, gpus=(GpuReading(uuid=placeholder_uuid(0), error="it hangs"),))
    )
    assert reading.gpus[0].uuid == "GPU-0"


def test_it_follows_its_island_under_another_name() -> None:
    """Islands are numbered among the GPUs that can be read."""
    known = KnownGpus()
    known.node(
        node(
            gpu(0, "nvlink-0"), gpu(1, "nvlink-0"), gpu(2, "nvlink-1"), gpu(3, "nvlink-1"), gpu(4, "nvlink-1")
        )
    )
    now = known.node(node(unread(0), unread(1), unread(2), gpu(3, "nvlink-0"), gpu(4, "nvlink-0")))
    assert [one.nvlink_island for one in now.gpus] == [None, None, "nvlink-0", "nvlink-0", "nvlink-0"]


def test_it_is_itself_again_when_it_is_read_again() -> None:
    known = KnownGpus()
    known.node(node(gpu(0)))
    known.node(node(unread(0)))
    assert known.node(node(gpu(0, type="other"))).gpus[0] == gpu(0, type="other")


def test_mig_slices_stay_slices() -> None:
    known = KnownGpus()
    known.node(node(gpu(1000, mig_parent_uuid="GPU-a"), gpu(1002, mig_parent_uuid="GPU-a"), gpu(1)))
    now = known.node(node(unread(0), gpu(1)))
    assert [(one.index, one.healthy) for one in now.gpus] == [(1000, False), (1002, False), (1, True)]


def test_one_that_was_never_read_stays_unknown() -> None:
    assert KnownGpus().node(node(unread(3))).gpus == (unread(3),)


def test_xids_outlive_the_process_that_saw_them() -> None:
    known = KnownGpus()
    known.node(node(gpu(0)))

    def seen(*xids: XidEvent) -> tuple[XidEvent, ...]:
        detail = GpuDetail(uuid="GPU-0", xids=xids)
        return known.detail(NodeDetail(node_id="n", taken_at_s=0.0, gpus=(detail,))).gpus[0].xids

    first, second = XidEvent(code=94, at_s=1.0), XidEvent(code=13, at_s=2.0)
    assert seen(first) == (first,)
    # Another process begins with none.
    assert seen() == (first,)
    assert seen(second) == (first, second)
    assert seen(second) == (first, second)
    flood = tuple(XidEvent(code=31, at_s=float(number)) for number in range(3, 23))
    assert seen(*flood) == flood
