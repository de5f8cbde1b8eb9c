"""The process that owns an embedded cluster: it outlives screens and ends when nobody needs the cluster.

Needed means: a session is connected to its socket, or a controller of ours lives on the cluster. Whoever
connects is told, one JSON line each, how far the start has come and then the address.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from types import FrameType

from cluster.bridge.audience import Audience
from cluster.bridge.embedded import (
    GPU_TYPE_LABEL,
    NAME_LABEL,
    EmbeddedCluster,
    NodePlan,
    new_temp_dir,
    ray_environment,
    simulated_nodes,
)
from cluster.bridge.guarded import await_guarded, start_guarded
from cluster.bridge.process_table import end_descendants
from cluster.bridge.records import (
    LOCAL_KEY,
    ClusterRecord,
    forget_record,
    hold_lock,
    log_path,
    retire_record,
    write_record,
)
from cluster.cluster_spec import parse_cluster_spec
from cluster.deploy.names import CONTROLLER_PREFIX

_FIRST_SESSION_S = 20.0
_UNUSED_S = 1.0
_LOCK_TRIES = 10
_LOOK_S = 0.5


class _Ended(Exception):
    """The keeper was told to end."""


def _end(signal_number: int, frame: FrameType | None) -> None:
    raise _Ended


def keep(key: str) -> int:
    """Own the cluster of `key` until nobody needs it; 3 when another keeper already does."""
    for _ in range(_LOCK_TRIES):
        with hold_lock(key) as lock:
            if lock is not None:
                return _keep_locked(key)
        time.sleep(0.1)
    return 3


def _keep_locked(key: str) -> int:
    """Guard a process that owns the cluster: killing either of them ends the cluster."""
    temp_dir = new_temp_dir()
    status = await_guarded(start_guarded(lambda: _own(key, temp_dir)))
    retire_record(key)
    end_descendants()
    shutil.rmtree(temp_dir, ignore_errors=True)
    forget_record(key)
    return abs(status)


def _own(key: str, temp_dir: str) -> int:
    token = secrets.token_hex(32)
    os.environ.update(ray_environment(token, temp_dir))
    socket_path = str(Path(temp_dir) / "keeper.sock")
    audience, cluster = Audience(socket_path), EmbeddedCluster(temp_dir)
    record = ClusterRecord(
        kind="local" if key == LOCAL_KEY else "simulated",
        key=key,
        pid=os.getpid(),
        socket_path=socket_path,
        auth_token=token,
        started_at_s=time.time(),
    )
    signal.signal(signal.SIGTERM, _end)
    try:
        write_record(record)
        _start(cluster, audience, _plans(key))
        _wait_until_unneeded(cluster, audience)
        log_path(key).unlink(missing_ok=True)
    except _Ended:
        audience.tell(failed="the embedded cluster was told to end")
    except Exception as error:
        sys.stderr.write(f"keeper: {error!r}\n")
        audience.tell(failed=f"the embedded cluster did not start: {error}")
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        retire_record(key)
        audience.close()
        cluster.stop()
        forget_record(key)
    return 0


def _plans(key: str) -> tuple[NodePlan, ...]:
    if key == LOCAL_KEY:
        return (NodePlan(LOCAL_KEY, _num_local_gpus(), {NAME_LABEL: socket.gethostname()}),)
    return simulated_nodes(parse_cluster_spec(key, "simulated"))


def _num_local_gpus() -> int:
    from cluster.probe.local import read_cluster

    return read_cluster().num_gpus


def _start(cluster: EmbeddedCluster, audience: Audience, plans: tuple[NodePlan, ...]) -> None:
    # Simulated nodes come besides the head; this machine is the head itself.
    steps = len(plans) + any(GPU_TYPE_LABEL in plan.labels for plan in plans)
    audience.tell(progress="starting the cluster's head", fraction=0.0)
    for done, name in enumerate(cluster.start(plans), start=1):
        # Every node that Ray starts here puts Ray's own handler in the place of ours.
        signal.signal(signal.SIGTERM, _end)
        audience.tell(progress=f"{name} joined ({done} of {steps})", fraction=done / steps)
    audience.tell(address=cluster.address)


def _wait_until_unneeded(cluster: EmbeddedCluster, audience: Audience) -> None:
    unneeded_at_s = time.monotonic() + _FIRST_SESSION_S
    while True:
        time.sleep(_LOOK_S)
        if audience.count() > 0:
            unneeded_at_s = time.monotonic() + _UNUSED_S
        if not cluster.head_lives():
            raise RuntimeError("the cluster's head has ended")
        if time.monotonic() > unneeded_at_s:
            if cluster.num_actors(CONTROLLER_PREFIX) == 0:
                return
            unneeded_at_s = time.monotonic() + _UNUSED_S


def main() -> None:
    """Entry point: the argument is the key of the cluster to own."""
    key = sys.argv[1]
    with log_path(key).open("wb") as log:
        for fd in (1, 2):
            os.dup2(log.fileno(), fd)
    for name in ("SIGHUP", "SIGINT"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    sys.exit(keep(key))


if __name__ == "__main__":
    main()
