"""Finds and stops processes of an embedded cluster, for tests of recovery."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from cluster.bridge.state.records import ClusterRecord
from cluster.deploy.process_state import ProcessState, state_of
from tests.ray.support import pids_of_actor, processes_of

ACTORS = {"rank": "RankActor", "router": "RouterActor", "controller": "Controller", "probe": "NodeProbe"}


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def child_of_session(parent_pid: int) -> int:
    """Return the pid of the bridge child of a session's process."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            command = (entry / "cmdline").read_bytes()
            if b"cluster.bridge.driver.child" in command and parent_of(int(entry.name)) == parent_pid:
                return int(entry.name)
    raise AssertionError(f"process {parent_pid} has no bridge child")


def victim(record: ClusterRecord, what: str, node_id: str = "") -> int:
    """Return a pid by role: an actor of ACTORS, raylet (of a node), gcs, keeper, guard or bridge."""
    if what in ACTORS:
        return pids_of_actor(record.temp_dir, ACTORS[what])[0]
    if what == "bridge":
        return child_of_session(os.getpid())
    if what in ("keeper", "guard"):
        return record.pid if what == "keeper" else parent_of(record.pid)
    mark = f"--node_id={node_id}" if what == "raylet" else "gcs_server"
    program = "raylet" if what == "raylet" else "gcs_server"
    for pid, command in processes_of(record.temp_dir).items():
        if mark in command and program in command.split()[0]:
            return pid
    raise AssertionError(f"no {what} among the processes of the cluster")


def zombies_of(parent_pid: int) -> list[int]:
    """Return the children of a process that have ended but were not reaped."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if fields[0] == "Z" and int(fields[1]) == parent_pid:
                found.append(int(entry.name))
    return found


@contextlib.contextmanager
def held(pid: int) -> Iterator[None]:
    """Stop a process again each time it is continued, until it ends or the block does."""
    released = threading.Event()

    def hold() -> None:
        while not released.is_set() and state_of(pid) is not ProcessState.GONE:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
            time.sleep(0.01)

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    yield
    released.set()
    thread.join(5)
