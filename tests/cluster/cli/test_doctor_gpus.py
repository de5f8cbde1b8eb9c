"""What `clusterview doctor` says of GPUs, and how it ends."""

from __future__ import annotations

import argparse

import pytest

from cluster.cli import doctor
from cluster.cli.doctor_gpus import Finding, State, gpu_findings
from cluster.inventory import Cluster, Gpu, Node
from cluster.probe.query import NO_GPUS, NO_LIBRARY
from cluster.probe.visible import Visible, with_excluded
from cluster.units import GIB


def findings(*gpus: Gpu, error: str | None = None) -> list[Finding]:
    node = Node(node_id="n", name="box", gpus=gpus, error=error)
    return list(gpu_findings("NVML", Cluster(source="nvml", nodes=(node,))))


def h100(index: int, **changes: object) -> Gpu:
    fields = {"uuid": f"GPU-{index}", "type": "H100", "memory_total_bytes": 80 * GIB, **changes}
    return Gpu(index=index, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "state"),
    [
        ("the driver library and the kernel module differ in version; reboot or reload the module", "fail"),
        ("the NVIDIA driver is not loaded (try: nvidia-smi, modprobe nvidia)", "fail"),
        ("nvmlInit: unknown driver error (a container may have lost its access ...)", "fail"),
        ("Ray counts 8 GPUs, NVML shows none (NVML is not initialized). Check nvidia-smi there", "fail"),
        (NO_LIBRARY, "warn"),
        (NO_GPUS, "warn"),
        ("no answer for 12 s", "warn"),
    ],
)
def test_a_driver_that_cannot_be_used_is_a_failure(error: str, state: State) -> None:
    assert findings(error=error)[1] == Finding("box", state, error)


def test_hidden_gpus_are_listed_and_no_problem_while_one_is_left() -> None:
    gpus = [h100(i) for i in range(8)]
    told = "6 of 8 GPUs hidden by CUDA_VISIBLE_DEVICES=2,3: 0-1,4-7"
    assert findings(*with_excluded(gpus, Visible(value="2,3")))[1:] == [Finding("box", "ok", told)]
    (none,) = findings(*with_excluded(gpus, Visible(value="")))[1:]
    assert (none.state, none.told) == (
        "warn",
        "8 of 8 GPUs hidden by CUDA_VISIBLE_DEVICES, which is empty: 0-7",
    )


def test_unified_memory_is_said() -> None:
    summary, told = findings(h100(0, unified_memory=True, memory_free_bytes=30 * GIB))
    assert "memory unified with the machine's" in summary.told
    assert told.told == "its memory is unified with the machine's: 80.0 GiB, 30.0 GiB of it free"


@pytest.mark.parametrize(
    ("states", "status"), [(("ok",), 0), (("warn", "ok"), 1), (("ok", "fail", "warn"), 2)]
)
def test_the_worst_finding_decides_the_exit_status(
    monkeypatch: pytest.MonkeyPatch, states: tuple[State, ...], status: int
) -> None:
    monkeypatch.setattr(doctor, "_examine", lambda _: [Finding("x", state, "y") for state in states])
    assert doctor.run(argparse.Namespace(json=True)) == status
