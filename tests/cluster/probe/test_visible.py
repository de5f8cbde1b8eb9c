"""CUDA_VISIBLE_DEVICES limits what is planned on, as CUDA reads it."""

from __future__ import annotations

import pytest

from cluster.inventory import Gpu
from cluster.probe.local import read_cluster
from cluster.probe.visible import Visible, visible_from, visible_indices, with_excluded
from tests.cluster.probe.conftest import FakeNvml

UUIDS = ("GPU-aa11", "GPU-aa22", "GPU-bb33", "GPU-cc44")


def gpus(*types: str) -> list[Gpu]:
    """Four GPUs, the last cut into two MIG slices."""
    kinds = types or ("A",) * 4
    whole = [
        Gpu(index=i, uuid=uuid, type=kind, memory_total_bytes=1)
        for i, (uuid, kind) in enumerate(zip(UUIDS, kinds, strict=True))
    ]
    slices = [
        Gpu(index=index, uuid=uuid, type="A", memory_total_bytes=1, mig_parent_uuid=UUIDS[3])
        for index, uuid in ((4000, "MIG-x1"), (4002, "MIG-x2"))
    ]
    return [*whole[:3], *slices]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("2,0", {0, 2}),
        (" 1 , 2", {1, 2}),
        ("", set()),
        ("-1", set()),
        ("NoDevFiles", set()),
        ("0,-1,2", {0}),
        ("0,9,1", {0}),
        ("1,1", set()),
        ("GPU-bb33,GPU-aa11", {0, 2}),
        ("GPU-b,GPU-aa1", {0, 2}),
        ("GPU-aa", set()),
        ("GPU-bb33,GPU-aa,GPU-aa11", {2}),
        ("0,GPU-bb33", {0}),
        ("GPU-bb33,0", {2}),
        ("MIG-x2", {4002}),
        ("MIG-x1,MIG-x2", {4000, 4002}),
        ("MIG-", set()),
        ("3", {4000}),
        ("GPU-cc44", {4000}),
        ("99999999999999999999999", set()),
        ("\u0663", set()),
    ],
)
def test_entries_mean_what_they_mean_to_cuda(value: str, shown: set[int]) -> None:
    assert visible_indices(gpus(), value) == shown


def test_an_unset_variable_leaves_nothing_out() -> None:
    assert visible_from({}) is None
    assert with_excluded(gpus(), None) == tuple(gpus())


def test_each_gpu_left_out_says_by_what() -> None:
    reasons = [gpu.excluded_reason for gpu in with_excluded(gpus(), Visible(value="0,1"))]
    assert reasons == [None, None, *["hidden by CUDA_VISIBLE_DEVICES=0,1"] * 3]
    (first, *_) = with_excluded(gpus(), visible_from({"CUDA_VISIBLE_DEVICES": ""}))
    assert first.excluded_reason == "hidden by CUDA_VISIBLE_DEVICES, which is empty"


def test_indices_over_different_gpus_say_how_they_are_counted() -> None:
    mixed = gpus("A", "A", "B", "A")
    told = with_excluded(mixed, Visible(value="0"))[1].excluded_reason or ""
    assert "counted as nvidia-smi does; set CUDA_DEVICE_ORDER=PCI_BUS_ID" in told
    for sure in (Visible(value="0", order="PCI_BUS_ID"), Visible(value="GPU-aa1")):
        assert "counted" not in (with_excluded(mixed, sure)[1].excluded_reason or "")


def test_a_hostile_value_is_shown_clean_and_short() -> None:
    told = with_excluded(gpus(), Visible(value="0\x1b]0;owned\x07" + "x" * 500))[1].excluded_reason or ""
    assert told.isprintable() and len(told) < 120


def test_the_probe_reads_what_is_left_out_too(fake_nvml: FakeNvml) -> None:
    env = {**fake_nvml(gpus=4), "CUDA_VISIBLE_DEVICES": "GPU-fake-1,GPU-fake-3"}
    node = read_cluster(timeout_s=40.0, env=env).nodes[0]
    assert [gpu.usable for gpu in node.gpus] == [False, True, False, True]
    assert all(gpu.healthy and gpu.memory_free_bytes for gpu in node.gpus)


def test_mig_slices_can_be_chosen(fake_nvml: FakeNvml) -> None:
    env = {**fake_nvml(gpus=2, mig=0), "CUDA_VISIBLE_DEVICES": "MIG-fake-0-1"}
    node = read_cluster(timeout_s=40.0, env=env).nodes[0]
    assert [gpu.index for gpu in node.gpus if gpu.usable] == [1002]
