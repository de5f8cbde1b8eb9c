"""Ray clusters as users start them: `ray start` processes, each node with its own (fake) driver library.

    with RealRay(library) as ray:                       # library: the fixture fake_nvml_library
        ray.start_head()
        ray.start_nodes(RealNode("gpu-a", nvml_gpus=4), RealNode("gpu-b", nvml_gpus=4))
        run_clusterview("--dry-run", "--address", ray.address, **ray.user_environment())

Everything is bound to loopback, on free ports, in its own folder. Only processes started here are ended.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType

from cluster.process_table import descendants, end_processes
from tests.ray.other_python import python_without
from tests.ray.support import processes_of, wait_until

_START_S = 120.0
# Ray replaces 127.0.0.1 by the machine's external address, where nothing listens. It leaves 127.0.0.2 alone.
_HEAD = "127.0.0.2"
_OBJECT_STORE_BYTES = 80 * 1024**2
_MARK = "CLUSTERVIEW_TEST_RAY"
_OURS = ("RAY_", "FAKE_", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "PYTHONPATH")


@dataclass(frozen=True)
class RealNode:
    """One machine: what `ray start` is given, and what NVML shows."""

    name: str
    nvml_gpus: int | None = 0
    """GPUs that the driver library shows; None: no driver library."""
    num_gpus: int | None = None
    """Ray's --num-gpus; None: Ray detects GPUs, as on a real machine."""
    num_cpus: int = 4
    labels: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    """Further environment, such as FAKE_HANG (see tests/cluster/probe/fake_nvml.c)."""
    lacks: tuple[str, ...] = ()
    """Packages missing from the node's Python, such as 'torch'."""


class RealRay:
    """One cluster and the processes that were started for it."""

    def __init__(self, library: Path | None, *, token: str | None = None) -> None:
        """`library` is the folder of the fake NVML; with `token` the cluster requires it."""
        self.folder = tempfile.mkdtemp(prefix="cvreal-", dir="/tmp")
        self.port = free_port()
        self.token = token
        self._library = library
        self._num_started = 0
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def address(self) -> str:
        return f"{_HEAD}:{self.port}"

    def __enter__(self) -> RealRay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start_head(self, node: RealNode | None = None, **options: str) -> None:
        """Start the head and wait until it listens; `options` are further options of `ray start`."""
        chosen = {
            "port": str(self.port),
            "ray-client-server-port": str(free_port()),
            "include-dashboard": "false",
            "temp-dir": f"{self.folder}/ray",
            **options,
        }
        self._start(node or RealNode("head"), ["--head", "--no-monitor"], chosen)
        self._await(lambda: self._num_alive() == 1, "head")

    def start_nodes(self, *nodes: RealNode) -> None:
        """Start nodes and wait until Ray lists them as alive."""
        expected = self._num_alive() + len(nodes)
        for node in nodes:
            self._start(node, [], {"address": self.address})
            # Nodes of one machine share a folder, and two that start at once choose the same socket name.
            self._await(partial(self._has_raylet, node.name), node.name)
        # Now and then a `ray start` still hangs, and ends after half a minute without its node.
        wait_until(lambda: self._num_alive() >= expected or bool(self._ended(nodes)), _START_S)
        for node in self._ended(nodes):
            _kill(self._started.pop(node.name))
            self._start(node, [], {"address": self.address})
        self._await(lambda: self._num_alive() >= expected, ", ".join(node.name for node in nodes))

    def _ended(self, nodes: Iterable[RealNode]) -> list[RealNode]:
        return [node for node in nodes if self._started[node.name].poll() is not None]

    def _start(self, node: RealNode, flags: list[str], options: dict[str, str]) -> None:
        options = {"node-ip-address": f"127.0.0.{2 + self._num_started}", **_node_options(node), **options}
        self._num_started += 1
        python = python_without(Path(self.folder), node.lacks) if node.lacks else sys.executable
        with Path(self.folder, f"{node.name}.log").open("wb") as log:
            self._started[node.name] = subprocess.Popen(
                [
                    *(python, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"),
                    *flags,
                    *(f"--{name}={value}" for name, value in options.items()),
                ],
                env=self._environment(node),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )

    def _environment(self, node: RealNode) -> dict[str, str]:
        env = {**_plain_environment(), **self.ray_environment(), _MARK: self.folder}
        if self._library is not None and node.nvml_gpus is not None:
            env["LD_LIBRARY_PATH"] = str(self._library)
            env |= {"FAKE_GPUS": str(node.nvml_gpus), "FAKE_UUID": node.name}
        return {**env, **node.env}

    def ray_environment(self) -> dict[str, str]:
        """Return the variables that Ray needs to accept a process."""
        common = {"RAY_USAGE_STATS_ENABLED": "0"}
        if self.token is None:
            return {**common, "RAY_AUTH_MODE": "disabled"}
        return {**common, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}

    def user_environment(self, **changes: str) -> dict[str, str]:
        """Return the environment of a user on a machine without a GPU."""
        return {**_plain_environment(), **self.ray_environment(), **changes}

    def pids(self, name: str) -> dict[int, str]:
        """Return the living processes of a node: pid -> command line."""
        found = {}
        for pid in descendants(self._started[name].pid):
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
            except OSError:
                continue
            found[pid] = command.decode(errors="replace").strip()
        return found

    def _has_raylet(self, name: str) -> bool:
        return any(_is_raylet(command) for command in self.pids(name).values())

    def raylet_pid(self, name: str) -> int:
        """Return the pid of a node's raylet."""
        return next(pid for pid, command in self.pids(name).items() if _is_raylet(command))

    def log(self, name: str) -> str:
        """Return what `ray start` printed."""
        return Path(self.folder, f"{name}.log").read_text(errors="replace")

    def _num_alive(self) -> int:
        """Return how many nodes are alive. Uses a child process: the caller must not become a Ray driver."""
        env = {**self.user_environment(), _MARK: self.folder}
        done = subprocess.run(
            [sys.executable, "-c", _COUNT, self.address], env=env, capture_output=True, text=True, timeout=60
        )
        return int(done.stdout or 0)

    def _await(self, is_true: Callable[[], bool], names: str) -> None:
        ended: list[str] = []

        def done() -> bool:
            ended[:] = [name for name, child in self._started.items() if child.poll() is not None]
            return bool(ended) or is_true()

        came = wait_until(done, _START_S)
        if not came or ended:
            logs = "\n".join(self.log(name) for name in self._started)
            self.close()
            raise AssertionError(f"ray start of {names} failed (ended: {ended}):\n{logs}")

    def close(self) -> None:
        """End what was started here, workers included, and remove its files."""
        while self._started:
            _kill(self._started.popitem()[1])
        # Orphans are found by the folder on their command line, which no other process has.
        wait_until(lambda: not processes_of(self.folder), 10)
        end_processes(processes_of(self.folder))
        shutil.rmtree(self.folder, ignore_errors=True)
        assert not processes_of(self.folder), processes_of(self.folder)


_COUNT = """
import sys
from ray._raylet import GcsClient
print(sum(node.state == 0 for node in GcsClient(address=sys.argv[1]).get_all_node_info().values()))
"""


def _is_raylet(command: str) -> bool:
    return command.partition(" ")[0].endswith("/raylet/raylet")


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def new_token() -> str:
    """Return a token for a cluster."""
    return secrets.token_hex(16)


def _plain_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}


def _node_options(node: RealNode) -> dict[str, str]:
    options = {
        "node-name": node.name,
        "num-cpus": str(node.num_cpus),
        "object-store-memory": str(_OBJECT_STORE_BYTES),
        "min-worker-port": "0",
        "max-worker-port": "0",
        "dashboard-agent-listen-port": str(free_port()),
        "include-log-monitor": "false",
    }
    if node.num_gpus is not None:
        options["num-gpus"] = str(node.num_gpus)
    if node.labels:
        options["labels"] = ",".join(f"{name}={value}" for name, value in node.labels.items())
    return options


def _kill(child: subprocess.Popen[bytes]) -> None:
    pids = [child.pid, *descendants(child.pid)]
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    child.wait()
