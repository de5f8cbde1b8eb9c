"""A fake NVML library for the probe process; fake_nvml.c lists the failures it can produce."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.detail import NodeDetail
from cluster.inventory import Node
from cluster.probe.watch import ProbeProcess
from cluster.telemetry import NodeReading
from tests.cluster.probe.fake_library import build_fake_nvml

PATIENCE_S = 60.0

FakeNvml = Callable[..., dict[str, str]]


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with the fake library of a current driver and of an old one."""
    return {
        driver: build_fake_nvml(tmp_path_factory.mktemp(f"nvml-{driver}"), *flags)
        for driver, flags in {"current": [], "old": ["-DWITHOUT_V3"]}.items()
    }


@pytest.fixture
def fake_nvml(libraries: dict[str, Path]) -> FakeNvml:
    """Return the environment in which a process finds the fake library: fake_nvml(lost=3, driver='old')."""

    def environment(driver: str = "current", **settings: object) -> dict[str, str]:
        chosen = {f"FAKE_{name.upper()}": str(value) for name, value in settings.items()}
        return {**os.environ, "LD_LIBRARY_PATH": str(libraries[driver]), **chosen}

    return environment


class Control:
    """What goes wrong in the fake library from now on: lines such as 'hang nvmlDeviceGetName 3'."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def say(self, *lines: str) -> None:
        """Replace what was said before; without a line, nothing goes wrong any more."""
        new = self.path.with_suffix(".new")
        new.write_text("".join(f"{line}\n" for line in lines))
        new.replace(self.path)


@pytest.fixture
def control(tmp_path: Path) -> Control:
    """Return the control file of the fake library: pass it on as fake_nvml(control=control.path)."""
    return Control(tmp_path / "control")


class Watcher:
    """Collects a probe's readings, and waits for those a test expects."""

    def __init__(self) -> None:
        self.seen: list[tuple[Node, NodeReading]] = []
        self.detail: NodeDetail | None = None
        self._news = threading.Condition()

    def listen(self, node: Node, reading: NodeReading, detail: NodeDetail | None) -> None:
        with self._news:
            self.seen.append((node, reading))
            self.detail = detail
            self._news.notify_all()

    def forget(self) -> None:
        """Drop the readings so far, so that only new ones count."""
        with self._news:
            self.seen.clear()

    def wait_for(self, expected: Callable[[Node, NodeReading], bool]) -> tuple[Node, NodeReading]:
        """Return the first pair, already seen or yet to come, that is as expected."""
        with self._news:
            found = self._news.wait_for(
                lambda: next((pair for pair in self.seen if expected(*pair)), None), PATIENCE_S
            )
        assert found, f"never came; last: {self.seen[-1:]}"
        return found


@pytest.fixture
def watch(fake_nvml: FakeNvml) -> Iterator[Callable[..., tuple[ProbeProcess, Watcher]]]:
    """Start a probe over the fake library: watch(hang='nvmlDeviceGetName:2', deadline_s=1.0)."""
    probes: list[ProbeProcess] = []

    def start(
        deadline_s: float = 1.0, inventory_interval_s: float = 0.5, **settings: object
    ) -> tuple[ProbeProcess, Watcher]:
        watcher = Watcher()
        probe = ProbeProcess(
            "node-id",
            "node-name",
            interval_s=0.1,
            inventory_interval_s=inventory_interval_s,
            deadline_s=deadline_s,
            listener=watcher.listen,
            env=fake_nvml(**settings),
        )
        probes.append(probe)
        probe.start()
        return probe, watcher

    yield start
    for probe in probes:
        probe.close()
