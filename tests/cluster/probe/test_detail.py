"""Slow figures of GPUs: PCIe, NVLinks, memory errors, fabric, Xids."""

from __future__ import annotations

import time

import pytest

from cluster.detail import EccCounts, GpuDetail, NodeDetail, NvLinkReading
from cluster.probe.fabric import health_problems
from cluster.probe.local import read_seen
from cluster.units import GIB, MIB
from tests.cluster.probe.conftest import Control, FakeNvml

NOT_SUPPORTED = "not supported by this GPU"
KIB = 1024


def read(fake_nvml: FakeNvml, control: Control, *lines: str, **settings: object) -> NodeDetail:
    control.say(*lines)
    detail = read_seen(timeout_s=40.0, env=fake_nvml(control=control.path, **settings)).detail
    assert detail is not None
    return detail


def test_every_slow_figure_arrives_in_base_units(fake_nvml: FakeNvml, control: Control) -> None:
    began_s = time.time()
    detail = read(
        fake_nvml,
        control,
        "set pcie_generation 1 1",
        "set pcie_width 1 4",
        "set pcie_replays 1 17",
        "set volatile_uncorrected 1 2",
        "set aggregate_uncorrected 1 12",
        "set remapped_uncorrected 1 3",
        "set remap_pending 1 1",
        "set retired_pages 1 6",
        "set retirement_pending 1 1",
        "set recovery_action 1 4",
        "set fabric_health 1 409",
        "set xid 1 94",
        "set links 1 2",
        "set links_down 1 2",
        "set link_replays 1 5",
        gpus=2,
        fabric=1,
    )
    assert (detail.node_id, len(detail.gpus)) == ("local", 2)
    gpu = detail.gpus[1]
    (xid,) = gpu.xids
    assert xid.code == 94
    assert began_s - 1 <= xid.at_s <= time.time() + 1
    assert gpu == GpuDetail(
        uuid="GPU-fake-1",
        pcie_generation=1,
        pcie_width=4,
        pcie_replays=17,
        pcie_received_bytes_per_s=2000.0 * KIB,
        pcie_sent_bytes_per_s=1000.0 * KIB,
        links=(
            NvLinkReading(
                link=0,
                active=True,
                version=2,
                bytes_per_s=25_781e6,
                remote="switch",
                received_bytes=2000 * KIB,
                sent_bytes=1000 * KIB,
                errors=5,
            ),
            NvLinkReading(link=1, active=False, received_bytes=2001 * KIB, sent_bytes=1001 * KIB, errors=5),
        ),
        ecc=EccCounts(
            volatile_corrected=0, volatile_uncorrected=2, aggregate_corrected=0, aggregate_uncorrected=12
        ),
        remapped_corrected=0,
        remapped_uncorrected=3,
        remap_pending=True,
        remap_failed=False,
        retired_pages=6,
        retirement_pending=True,
        recovery_action="drain and reset",
        xids=(xid,),
        bar1_used_bytes=7 * MIB,
        bar1_total_bytes=128 * GIB,
        fabric_state="completed",
        fabric_problems=("degraded bandwidth", "route unhealthy"),
    )
    assert detail.gpus[0].absent == {"retired_pages": NOT_SUPPORTED, "retirement_pending": NOT_SUPPORTED}


def test_what_a_driver_does_not_give_is_absent_with_its_reason(fake_nvml: FakeNvml, control: Control) -> None:
    detail = read(
        fake_nvml,
        control,
        "error nvmlDeviceGetPcieThroughput 0 4",
        "error nvmlDeviceGetFieldValues 0 3",
        "set volatile_corrected 0 -1",
        "set xid 0 -1",
        gpus=1,
        nvlink="none",
    )
    gpu = detail.gpus[0]
    assert gpu.pcie_generation == 4
    assert gpu.absent == {
        "pcie_received_bytes_per_s": "no permission to read it",
        "pcie_sent_bytes_per_s": "no permission to read it",
        "recovery_action": NOT_SUPPORTED,
        "ecc.volatile_corrected": NOT_SUPPORTED,
        "links": NOT_SUPPORTED,
        "xids": NOT_SUPPORTED,
        "fabric_state": NOT_SUPPORTED,
        "fabric_problems": NOT_SUPPORTED,
        "retired_pages": NOT_SUPPORTED,
        "retirement_pending": NOT_SUPPORTED,
    }


def test_links_without_fields_still_count_their_errors(fake_nvml: FakeNvml, control: Control) -> None:
    detail = read(fake_nvml, control, "error nvmlDeviceGetFieldValues * 13", "set link_replays 0 9", gpus=1)
    link = detail.gpus[0].links[0]
    assert (link.errors, link.bytes_per_s, link.sent_bytes) == (9, None, None)


def test_a_lost_gpu_has_no_slow_figures_and_says_why(fake_nvml: FakeNvml, control: Control) -> None:
    sound, lost = read(fake_nvml, control, "set xid 0 79", gpus=2, lost=1).gpus
    assert [xid.code for xid in sound.xids] == [79]
    assert lost.uuid == "unreadable-gpu-1"
    assert "lost" in lost.absent["pcie_width"]
    assert "lost" in lost.absent["links"]


def test_slices_of_a_gpu_share_its_slow_figures(fake_nvml: FakeNvml, control: Control) -> None:
    first, second = read(fake_nvml, control, "set xid 0 63", gpus=1, mig=0).gpus
    assert (first.uuid, second.uuid) == ("MIG-fake-0-0", "MIG-fake-0-1")
    assert first.model_copy(update={"uuid": second.uuid}) == second
    assert [xid.code for xid in first.xids] == [63]


@pytest.mark.parametrize(
    ("mask", "problems"),
    [
        (0, ()),
        (0x2AA, ("incorrect configuration: incorrect system GUID",)),
        (
            0x155,
            (
                "degraded bandwidth",
                "route recovery in progress",
                "route unhealthy",
                "recovery after an access timeout",
            ),
        ),
        (0x199, ("degraded bandwidth", "route unhealthy")),
        (0x502, ("incorrect configuration: insufficient NVLinks",)),
    ],
)
def test_the_health_mask_of_a_fabric(mask: int, problems: tuple[str, ...]) -> None:
    assert health_problems(mask) == problems
