"""The process that owns an embedded cluster: it outlives screens and ends when the cluster is not needed.

Needed means that a session is connected to its socket or that a deployment runs on the cluster. Each session
receives the startup progress, one JSON line each, and then the address.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from cluster.bridge.keeper.attach import ANOTHER_KEEPER, CANNOT_START
from cluster.bridge.keeper.clients import KeeperClients
from cluster.bridge.keeper.embedded import (
    GPU_TYPE_LABEL,
    NAME_LABEL,
    EmbeddedCluster,
    NodePlan,
    ray_environment,
    simulated_nodes,
)
from cluster.bridge.keeper.guard import await_guarded, start_guarded
from cluster.bridge.keeper.in_use import UNWANTED, HeadEnded, wait_until_unneeded, watch_start
from cluster.bridge.keeper.reviver import Reviver
from cluster.bridge.state.logs import log_path, open_keeper_log, remove_log
from cluster.bridge.state.losses import deployments_on, note_loss
from cluster.bridge.state.records import (
    LOCAL_KEY,
    ClusterRecord,
    forget_record,
    hold_lock,
    retire_record,
    write_record,
)
from cluster.bridge.state.temp_dir import new_temp_dir, remove_temp_dir
from cluster.cluster_spec import parse_cluster_spec
from cluster.errors import ClusterviewError, system_failed
from cluster.process_table import end_descendants
from cluster.streams import print_to_log

_LOCK_TRIES = 10


class _Ended(Exception):
    """The keeper received SIGTERM, or its cluster is not needed any more."""


_why_ended = ""


def _end(signal_number: int, frame: FrameType | None) -> None:
    raise _Ended


def _end_because(reason: str) -> None:
    """Make the main thread end as on SIGTERM, and keep the reason."""
    global _why_ended
    _why_ended = reason
    os.kill(os.getpid(), signal.SIGTERM)


def keep(key: str) -> int:
    """Own the cluster of `key` until nobody needs it; ANOTHER_KEEPER when another one already does."""
    for _ in range(_LOCK_TRIES):
        with hold_lock(key) as lock:
            if lock is not None:
                return _keep_locked(key)
        time.sleep(0.1)
    return ANOTHER_KEEPER


def _keep_locked(key: str) -> int:
    """Guard a process that owns the cluster: killing either of them ends the cluster."""
    temp_dir = new_temp_dir()
    starter = _write_to_log(key)
    status = await_guarded(start_guarded(lambda: _own(key, temp_dir, starter)))
    if status < 0:
        note_loss(key, f"its keeper was killed ({signal.Signals(-status).name})", deployments_on(temp_dir))
    retire_record(key)
    end_descendants()
    remove_temp_dir(Path(temp_dir))
    forget_record(key)
    return abs(status)


def _write_to_log(key: str) -> int:
    """Redirect output to the log; returns the descriptor that the process that started this keeper reads."""
    starter, log = os.dup(2), open_keeper_log(key)
    for fd in (1, 2):
        os.dup2(log, fd)
    os.close(log)
    print_to_log()
    return starter


def _own(key: str, temp_dir: str, starter: int) -> int:
    token = secrets.token_hex(32)
    os.environ.update(ray_environment(token, temp_dir))
    socket_path = str(Path(temp_dir) / "keeper.sock")
    clients, cluster = KeeperClients(socket_path), EmbeddedCluster(temp_dir)
    record = ClusterRecord(
        kind="local" if key == LOCAL_KEY else "simulated",
        key=key,
        pid=os.getpid(),
        socket_path=socket_path,
        auth_token=token,
        started_at_s=time.time(),
    )
    signal.signal(signal.SIGTERM, _end)
    guard, reviver = os.getppid(), Reviver(os.getppid(), _end_because)
    try:
        write_record(record)
        threading.Thread(target=watch_start, args=(clients, _end_because), name="wanted", daemon=True).start()
        _start(cluster, clients, _plans(key))
        reviver.watch_head(cluster.address)
        wait_until_unneeded(cluster, clients, temp_dir)
        remove_log(log_path(key))
    except (_Ended, SystemExit):
        # Ray's own handler of SIGTERM, in place while it starts a node, raises SystemExit.
        _note_end(key, temp_dir, guard)
        if _why_ended != UNWANTED:
            clients.send(failed="the embedded cluster was stopped")
    except HeadEnded as error:
        note_loss(key, str(error), deployments_on(temp_dir))
        clients.send(failed=str(error))
    except Exception as error:
        sys.stderr.write(f"keeper: {error!r}\n")
        reason = _reason(error)
        clients.send(failed=reason)
        with contextlib.suppress(OSError):
            os.write(starter, f"{reason}\n".encode())
        return CANNOT_START
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        retire_record(key)
        clients.close()
        cluster.stop()
        forget_record(key)
    return 0


def _note_end(key: str, temp_dir: str, guard: int) -> None:
    """Record why the cluster ends early, if deployments are lost by it or something failed."""
    deployments = deployments_on(temp_dir)
    if _why_ended == UNWANTED:
        remove_log(log_path(key))
    elif _why_ended:
        note_loss(key, _why_ended, deployments)
    elif os.getppid() != guard:
        note_loss(key, "its guard was killed", deployments)
    elif deployments:
        note_loss(key, "its keeper received SIGTERM", deployments)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        error = system_failed("it cannot start", error)
    return error.one_line() if isinstance(error, ClusterviewError) else f"it did not start: {error}"


def _plans(key: str) -> tuple[NodePlan, ...]:
    if key == LOCAL_KEY:
        return (NodePlan(LOCAL_KEY, _num_local_gpus(), {NAME_LABEL: socket.gethostname()}),)
    return simulated_nodes(parse_cluster_spec(key, "simulated"))


def _num_local_gpus() -> int:
    from cluster.probe.local import read_cluster

    gpus = read_cluster().nodes[0].gpus
    # Ray counts what CUDA_VISIBLE_DEVICES leaves, and refuses to start with more.
    return sum(gpu.excluded_reason is None for gpu in gpus)


def _start(cluster: EmbeddedCluster, clients: KeeperClients, plans: tuple[NodePlan, ...]) -> None:
    # Simulated nodes come besides the head; this machine is the head itself.
    steps = len(plans) + any(GPU_TYPE_LABEL in plan.labels for plan in plans)
    clients.send(progress="starting the cluster's head", fraction=0.0)
    for done, name in enumerate(cluster.start(plans), start=1):
        # Every node that Ray starts here puts Ray's own handler in the place of ours.
        signal.signal(signal.SIGTERM, _end)
        clients.send(progress=f"{name} joined ({done} of {steps})", fraction=done / steps)
    clients.is_up = True
    clients.send(address=cluster.address)


def main() -> None:
    """Entry point: the argument is the key of the cluster to own."""
    key = sys.argv[1]
    for name in ("SIGHUP", "SIGINT"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    try:
        sys.exit(keep(key))
    except (OSError, ClusterviewError) as error:
        # The process that started this keeper reads its last line.
        sys.stderr.write(f"{_reason(error)}\n")
        sys.exit(CANNOT_START)


if __name__ == "__main__":
    main()
