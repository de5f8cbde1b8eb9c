"""The processes on all GPUs of a cluster as rows: who holds which memory. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cluster.inventory import Gpu, GpuProcess, Node
from cluster.telemetry import GpuReading, NodeReading
from cluster.units import GIB
from tui.roles import Role, live_roles
from tui.row_filter import Fields
from tui.store import SILENT_STATES, Snapshot

UNLISTED_BYTES = GIB
"""Memory in use beyond that of the listed processes, from which it is listed too: the driver takes about
half of it on an idle GPU."""


class ProcessRow(NamedTuple):
    """A process on one GPU; without a process, the memory there that no listed process holds.

    A large cluster has tens of thousands, each second: what is shown of one is worked out when it is shown.
    """

    place: Node
    gpu: Gpu
    holder: str
    """The deployment or Ray job that holds the GPU; '' for none."""
    process: GpuProcess | None
    memory_bytes: int | None

    @property
    def key(self) -> tuple[str, int | None]:
        """What tells rows apart."""
        return self.gpu.uuid, self.pid

    @property
    def node(self) -> str:
        """The node's name."""
        return self.place.name

    @property
    def pid(self) -> int | None:
        """None for memory that no listed process holds."""
        return None if self.process is None else self.process.pid

    @property
    def user(self) -> str | None:
        """None where it is not known."""
        return None if self.process is None else self.process.user

    @property
    def sm_percent(self) -> float | None:
        """None where it is not read."""
        return None if self.process is None else self.process.sm_percent

    @property
    def command(self) -> str | None:
        """The whole command line; None where it is not known."""
        return None if self.process is None else self.process.command

    @property
    def name(self) -> str:
        """The process's name, or why it has none."""
        if self.process is None:
            return "(not listed)"
        if self.process.other_namespace and not self.process.name:
            return "(another PID namespace)"
        return self.process.name or "(no name)"

    @property
    def brief(self) -> str:
        """The command line without the folder of its program; the name where there is no command line."""
        if not self.command:
            return self.name
        program, space, rest = self.command.partition(" ")
        return f"{program.rpartition('/')[2]}{space}{rest}" or self.name

    @property
    def words(self) -> str:
        """Everything that a filter looks for words in."""
        parts = (self.node, f"gpu {self.gpu.index}", self.holder, str(self.pid or ""), self.user or "")
        return " ".join((*parts, self.name, self.command or ""))


@dataclass(frozen=True, slots=True)
class UserRow:
    """What all processes of a user hold together."""

    user: str
    processes: int
    gpus: int
    nodes: int
    memory_bytes: int

    @property
    def key(self) -> str:
        """What tells rows apart."""
        return self.user


@dataclass(frozen=True, slots=True)
class ProcessList:
    """All rows at one moment."""

    rows: tuple[ProcessRow, ...] = ()
    silent_nodes: tuple[str, ...] = ()
    """Names of nodes that do not answer: what ran there last is not listed."""


FIELDS: Fields[ProcessRow] = Fields(
    text=lambda row: row.words,
    named={
        "node": lambda row: row.node,
        "user": lambda row: row.user,
        "holder": lambda row: row.holder,
        "command": lambda row: row.command or row.name,
        "gpu": lambda row: row.gpu.index,
        "pid": lambda row: row.pid,
        "mem": lambda row: None if row.memory_bytes is None else row.memory_bytes / GIB,
        "sm": lambda row: row.sm_percent,
    },
    figures=frozenset({"gpu", "pid", "mem", "sm"}),
)
USER_FIELDS: Fields[UserRow] = Fields(
    text=lambda row: row.user,
    named={
        "user": lambda row: row.user,
        "gpus": lambda row: row.gpus,
        "mem": lambda row: row.memory_bytes / GIB,
    },
    figures=frozenset({"gpus", "mem"}),
)


def process_list(snapshot: Snapshot) -> ProcessList:
    """Join readings, or the inventory where there are none, with what holds each GPU."""
    cluster = snapshot.cluster
    if cluster is None:
        return ProcessList()
    roles = live_roles(snapshot.deployments)
    names = {rank.gpu_uuid: status.name for status in snapshot.deployments for rank in status.ranks}
    rows: list[ProcessRow] = []
    silent = []
    for node in cluster.nodes:
        reading = snapshot.readings.get(node.node_id)
        if node.left is not None or (reading is not None and reading.state in SILENT_STATES):
            silent.append(node.name)
            continue
        rows.extend(_of_node(node, reading, roles, names))
    return ProcessList(tuple(rows), tuple(silent))


def by_user(rows: Iterable[ProcessRow]) -> list[UserRow]:
    """Add up rows by user; processes without a known user come together."""
    groups: dict[str, list[ProcessRow]] = {}
    for row in rows:
        groups.setdefault(row.user or ("(not listed)" if row.pid is None else "(unknown)"), []).append(row)
    return [
        UserRow(
            user=user,
            processes=len({(row.place.node_id, row.pid) for row in own if row.pid is not None}),
            gpus=len({row.gpu.uuid for row in own}),
            nodes=len({row.place.node_id for row in own}),
            memory_bytes=sum(row.memory_bytes or 0 for row in own),
        )
        for user, own in groups.items()
    ]


def _of_node(
    node: Node, reading: NodeReading | None, roles: dict[str, Role], names: dict[str, str]
) -> Iterator[ProcessRow]:
    readings = {} if reading is None else {gpu.uuid: gpu for gpu in reading.gpus}
    for gpu in node.gpus:
        role = roles.get(gpu.uuid)
        holder = f"{names[gpu.uuid]} {role.name}" if role is not None else gpu.claimed_by or ""
        yield from _of_gpu(node, gpu, readings.get(gpu.uuid), holder)


def _of_gpu(node: Node, gpu: Gpu, reading: GpuReading | None, holder: str) -> Iterator[ProcessRow]:
    processes = gpu.processes if reading is None else reading.processes
    for process in processes:
        yield ProcessRow(node, gpu, holder, process, process.memory_bytes)
    unlisted = _unlisted_bytes(gpu, reading, processes)
    if unlisted > UNLISTED_BYTES:
        yield ProcessRow(node, gpu, holder, None, unlisted)


def _unlisted_bytes(gpu: Gpu, reading: GpuReading | None, processes: Sequence[GpuProcess]) -> int:
    """Return the memory in use that no listed process accounts for; 0 where that cannot be told."""
    used = None if reading is None else reading.memory_used_bytes
    # Processes whose memory is not read hold it; unified memory is in use by the whole machine.
    if used is None or gpu.unified_memory or any(process.memory_bytes is None for process in processes):
        return 0
    return max(0, used - sum(process.memory_bytes or 0 for process in processes))
