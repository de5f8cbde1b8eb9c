"""GPUs that use the machine's memory."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from cluster.inventory import GpuProcess
from cluster.probe import memory
from cluster.probe.local import read_seen
from cluster.probe.nvml import Device
from cluster.probe.query import Answer
from cluster.probe.unified import SystemMemory, held_by_processes, system_memory
from tests.cluster.probe.conftest import FakeNvml


def meminfo(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "meminfo"
    path.write_text(text)
    return path


def test_total_and_available_are_the_kernel_s(tmp_path: Path) -> None:
    path = meminfo(tmp_path, "MemTotal:  125000000 kB\nMemFree: 1 kB\nMemAvailable:  100000000 kB\n")
    assert system_memory(path) == SystemMemory(125_000_000 * 1024, 100_000_000 * 1024)


@pytest.mark.parametrize(
    "text",
    ["", "MemTotal: 5 kB\n", "MemTotal: x kB\nMemAvailable: 1 kB\n", "MemTotal: 0 kB\nMemAvailable: 0 kB\n"],
)
def test_what_the_kernel_does_not_say_is_not_guessed(tmp_path: Path, text: str) -> None:
    assert system_memory(meminfo(tmp_path, text)) is None
    assert system_memory(tmp_path / "nowhere") is None


def test_used_is_what_processes_hold() -> None:
    two = [GpuProcess(pid=1, memory_bytes=5), GpuProcess(pid=2, memory_bytes=6)]
    assert held_by_processes(two, None) == (11, None)
    assert held_by_processes([], None) == (0, None)
    assert held_by_processes([GpuProcess(pid=1)], None)[0] is None
    assert held_by_processes([], "not supported by this GPU")[0] is None


def test_it_can_be_planned_on_and_says_that_it_is_unified(fake_nvml: FakeNvml) -> None:
    seen = read_seen(timeout_s=40.0, env=fake_nvml(gpus=1, unified=0, product="NVIDIA GB10"))
    gpu, reading, machine = seen.node.gpus[0], seen.reading.gpus[0], system_memory()
    assert machine is not None
    assert gpu.unified_memory and gpu.healthy
    assert gpu.type == "GB10", "whatever the size of this machine's memory"
    assert gpu.memory_total_bytes == reading.memory_total_bytes == machine.total_bytes
    assert 0 < (gpu.memory_free_bytes or 0) <= machine.total_bytes
    assert reading.memory_used_bytes == 0 and "memory_used_bytes" not in reading.absent


def test_a_driver_may_give_the_machine_s_memory_as_the_gpu_s(monkeypatch: pytest.MonkeyPatch) -> None:
    total = 125_000_000 * 1024
    monkeypatch.setattr(memory, "system_memory", lambda: SystemMemory(total, total // 2))
    memory._machine_total_bytes.cache_clear()

    def answers(total_bytes: int) -> SimpleNamespace:
        size = SimpleNamespace(total=total_bytes, used=total_bytes, free=0)
        return SimpleNamespace(module=None, ask=lambda *_: Answer(size))

    try:
        unified = memory.read_memory(answers(total), Device(0))  # type: ignore[arg-type]
        own = memory.read_memory(answers(total - 4096), Device(0))  # type: ignore[arg-type]
    finally:
        memory._machine_total_bytes.cache_clear()
    assert (unified.unified, unified.total_bytes, unified.free_bytes) == (True, total, total // 2)
    assert (own.unified, own.free_bytes) == (False, 0)


def test_a_slice_without_memory_figures_is_not_called_unified(fake_nvml: FakeNvml) -> None:
    gpu = read_seen(timeout_s=40.0, env=fake_nvml(gpus=1, unified=0, mig=0)).node.gpus[0]
    assert (gpu.unified_memory, gpu.memory_total_bytes) == (False, None)
