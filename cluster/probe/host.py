"""What the machine around the GPUs is doing: CPU, memory, disk and network, through psutil."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from cluster.probe.ports import rate
from cluster.telemetry import HostReading

NO_PSUTIL = "psutil is not installed here; pip install psutil"
_FIRST_READING = "rates need a second reading"
_DISK_INTERVAL_S = 15.0
_DISK_PATIENCE_S = 5.0
_FIELDS = {
    "cpu": ("cpu_percent",),
    "count": ("num_cpus",),
    "load": ("load_1m",),
    "memory": ("memory_total_bytes", "memory_available_bytes"),
    "disk": ("disk_total_bytes", "disk_free_bytes"),
    "network": ("network_received_bytes_per_s", "network_sent_bytes_per_s"),
}

Values = tuple[Any, ...]


def load_psutil() -> ModuleType | None:
    """Return psutil, else the copy inside an installed Ray, else None."""
    try:
        return importlib.import_module("psutil")
    except ImportError:
        return _rays_copy()


def _rays_copy() -> ModuleType | None:
    # Loaded from its folder: importing ray itself would cost a second in every probe.
    ray = importlib.util.find_spec("ray")
    for folder in (ray.submodule_search_locations or []) if ray else []:
        path = Path(folder) / "thirdparty_files" / "psutil" / "__init__.py"
        spec = importlib.util.spec_from_file_location("psutil", path) if path.exists() else None
        if spec and spec.loader:
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            try:
                spec.loader.exec_module(module)
            except ImportError:
                del sys.modules[spec.name]
                return None
            return module
    return None


class HostReader:
    """Reads the host again and again; rates and CPU use come from the second reading on.

    `root` is where /sys lies. A figure that cannot be read is None with its reason.
    """

    def __init__(
        self,
        *,
        root: Path = Path("/"),
        env: Mapping[str, str] | None = None,
        psutil: Any = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._psutil: Any = psutil or load_psutil()
        self._root, self._clock = root, clock
        self._disk = _DiskWatch(self._psutil, model_cache(os.environ if env is None else env), clock)
        self._cpu_began = False
        self._network: tuple[float, int, int] | None = None

    def read(self) -> HostReading:
        """Return what the machine does now. Never waits for a disk."""
        if self._psutil is None:
            return unread(NO_PSUTIL)
        values: dict[str, Any] = {}
        absent: dict[str, str] = {}
        for group, names in _FIELDS.items():
            try:
                values.update(zip(names, getattr(self, f"_read_{group}")(), strict=True))
            except Exception as error:
                # Where /proc is hidden or odd, psutil raises all sorts of errors.
                reason = str(error) if isinstance(error, _Absent) else f"{type(error).__name__}: {error}"
                absent.update(dict.fromkeys(names, reason))
        return HostReading(**values, absent=absent)

    def _read_cpu(self) -> Values:
        percent = self._psutil.cpu_percent(interval=None)
        if not self._cpu_began:
            self._cpu_began = True
            raise _Absent(_FIRST_READING)
        return (min(100.0, max(0.0, float(percent))),)

    def _read_count(self) -> Values:
        return (self._psutil.cpu_count(),)

    def _read_load(self) -> Values:
        return (float(self._psutil.getloadavg()[0]),)

    def _read_memory(self) -> Values:
        memory = self._psutil.virtual_memory()
        return int(memory.total), int(memory.available)

    def _read_disk(self) -> Values:
        return self._disk.latest()

    def _read_network(self) -> Values:
        received, sent = self._network_bytes()
        now_s, last = self._clock(), self._network
        self._network = (now_s, received, sent)
        if last is None:
            raise _Absent(_FIRST_READING)
        elapsed_s = now_s - last[0]
        rates = rate(last[1], received, elapsed_s), rate(last[2], sent, elapsed_s)
        if None in rates:
            raise _Absent("a network interface came or went")
        return rates

    def _network_bytes(self) -> tuple[int, int]:
        """Return the bytes so far of the physical interfaces: bridges and bonds would count them twice."""
        counters = self._psutil.net_io_counters(pernic=True)
        counters = {name: count for name, count in counters.items() if name != "lo"}
        physical = [name for name in counters if (self._root / "sys/class/net" / name / "device").exists()]
        chosen = [counters[name] for name in physical or counters]
        return sum(one.bytes_recv for one in chosen), sum(one.bytes_sent for one in chosen)


def unread(reason: str) -> HostReading:
    """Return a reading without a figure, for one reason."""
    return HostReading(absent={name: reason for names in _FIELDS.values() for name in names})


class _Absent(Exception):
    """No figure; the message says why."""


def model_cache(env: Mapping[str, str]) -> Path:
    """Return the folder whose file system is watched: that of the Hugging Face cache, else /."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME"):
        if env.get(name):
            return Path(env[name])
    return Path(env.get("HOME") or "/") / ".cache" / "huggingface"


class _DiskWatch:
    """Asks for disk space in a thread: a file system on a network may never answer."""

    def __init__(self, psutil: Any, folder: Path, clock: Callable[[], float]) -> None:
        self._psutil, self._folder, self._clock = psutil, folder, clock
        self._asked_s: float | None = None
        self._answered = threading.Event()
        self._values: Values | None = None
        self._reason = ""

    def latest(self) -> Values:
        """Return total and free bytes as last seen, and ask again when that is a while ago."""
        now_s = self._clock()
        if self._asked_s is None or (self._answered.is_set() and now_s - self._asked_s >= _DISK_INTERVAL_S):
            self._asked_s = now_s
            self._answered.clear()
            threading.Thread(target=self._ask, name="disk-space", daemon=True).start()
            self._answered.wait(0.05)
        if not self._answered.is_set() and now_s - self._asked_s > _DISK_PATIENCE_S:
            waited_s = now_s - self._asked_s
            raise _Absent(f"the file system of {self._folder} has not answered for {waited_s:.0f} s")
        if self._values is None:
            raise _Absent(self._reason or "not read yet")
        return self._values

    def _ask(self) -> None:
        try:
            usage = self._psutil.disk_usage(str(_existing(self._folder)))
            self._values = (int(usage.total), int(usage.free))
        except Exception as error:
            self._values, self._reason = None, f"{type(error).__name__}: {error}"
        self._answered.set()


def _existing(folder: Path) -> Path:
    """Return the folder, or its nearest parent that exists: a cache that is empty so far has none."""
    return next((one for one in (folder, *folder.parents) if one.exists()), Path("/"))
