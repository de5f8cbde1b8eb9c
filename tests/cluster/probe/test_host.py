"""What the machine around the GPUs does, and the reason for every figure that is absent."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.probe.host import NO_PSUTIL, HostReader, model_cache
from cluster.telemetry import HostReading


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def network(received: int, sent: int) -> SimpleNamespace:
    return SimpleNamespace(bytes_recv=received, bytes_sent=sent)


def fake_psutil(**functions: Any) -> SimpleNamespace:
    answers: dict[str, Any] = {
        "cpu_percent": lambda interval: 12.5,
        "cpu_count": lambda: 96,
        "getloadavg": lambda: (3.5, 2.0, 1.0),
        "virtual_memory": lambda: SimpleNamespace(total=1000, available=600),
        "disk_usage": lambda path: SimpleNamespace(total=500, free=200),
        "net_io_counters": lambda pernic: {"lo": network(9, 9), "eth0": network(1000, 2000)},
    }
    return SimpleNamespace(**answers | functions)


def test_the_first_reading_has_no_rates_and_the_second_has_all(tmp_path: Path) -> None:
    clock = Clock()
    counts: Iterator[int] = iter([1000, 5000])
    psutil = fake_psutil(
        net_io_counters=lambda pernic: {"eth0": network(next(counts), 0), "lo": network(7, 7)}
    )
    reader = HostReader(root=tmp_path, env={}, psutil=psutil, clock=clock)
    first = reader.read()
    assert (first.cpu_percent, first.network_received_bytes_per_s) == (None, None)
    assert {"cpu_percent", "network_received_bytes_per_s", "network_sent_bytes_per_s"} == first.absent.keys()
    clock.now_s += 2
    assert reader.read() == HostReading(
        cpu_percent=12.5,
        num_cpus=96,
        load_1m=3.5,
        memory_total_bytes=1000,
        memory_available_bytes=600,
        disk_total_bytes=500,
        disk_free_bytes=200,
        network_received_bytes_per_s=2000.0,
        network_sent_bytes_per_s=0.0,
    )


def test_bytes_of_bridges_are_not_counted_twice(tmp_path: Path) -> None:
    (tmp_path / "sys/class/net/eth0/device").mkdir(parents=True)
    clock, step = Clock(), iter([0, 100])

    def counters(pernic: bool) -> dict[str, SimpleNamespace]:
        count = next(step)
        return {"eth0": network(count, count), "docker0": network(50 * count, count)}

    reader = HostReader(root=tmp_path, env={}, psutil=fake_psutil(net_io_counters=counters), clock=clock)
    reader.read()
    clock.now_s += 1
    assert reader.read().network_received_bytes_per_s == 100


def test_a_function_that_fails_leaves_only_its_own_figures_out(tmp_path: Path) -> None:
    def hidden() -> None:
        raise PermissionError("/proc is hidden")

    reader = HostReader(root=tmp_path, env={}, psutil=fake_psutil(virtual_memory=hidden), clock=Clock())
    reading = reader.read()
    assert reading.memory_total_bytes is None
    assert "hidden" in reading.absent["memory_total_bytes"]
    assert reading.num_cpus == 96


def test_a_file_system_that_never_answers_holds_nothing_up(tmp_path: Path) -> None:
    clock, forever = Clock(), threading.Event()

    def dead(path: str) -> None:
        forever.wait(60)

    reader = HostReader(
        root=tmp_path, env={"HF_HOME": "/models"}, psutil=fake_psutil(disk_usage=dead), clock=clock
    )
    assert reader.read().absent["disk_total_bytes"] == "not read yet"
    clock.now_s += 30
    reading = reader.read()
    forever.set()
    assert reading.absent["disk_total_bytes"] == "the file system of /models has not answered for 30 s"
    assert reading.num_cpus == 96


def test_without_psutil_every_figure_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.probe.host.load_psutil", lambda: None)
    reading = HostReader().read()
    assert set(reading.absent.values()) == {NO_PSUTIL}
    assert all(value is None for name, value in reading if name != "absent")
    assert len(reading.absent) == len(HostReading.model_fields) - 1


def test_this_machine_is_read_truthfully() -> None:
    reader = HostReader()
    reader.read()
    reading = reader.read()
    total_kb = int(Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0])
    assert reading.memory_total_bytes == total_kb * 1024
    assert 0 < (reading.memory_available_bytes or 0) <= total_kb * 1024
    assert 0 <= (reading.cpu_percent or 0) <= 100
    assert (reading.disk_free_bytes or 0) <= (reading.disk_total_bytes or 0)


def test_rays_copy_serves_where_psutil_is_not_installed() -> None:
    program = (
        "import sys; sys.modules['psutil'] = None\n"
        "from cluster.probe import host\n"
        "del sys.modules['psutil']\n"
        "class Hide:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'psutil': raise ImportError(name)\n"
        "sys.meta_path.insert(0, Hide())\n"
        "reading = host.HostReader().read()\n"
        "print(reading.memory_total_bytes is not None, 'ray' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


@pytest.mark.parametrize(
    ("env", "folder"),
    [
        ({"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}, "/a"),
        ({"HF_HOME": "/b"}, "/b"),
        ({"HOME": "/home/me"}, "/home/me/.cache/huggingface"),
        ({}, "/.cache/huggingface"),
    ],
)
def test_the_model_caches_file_system_is_watched(env: dict[str, str], folder: str) -> None:
    assert model_cache(env) == Path(folder)
