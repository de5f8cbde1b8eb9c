"""Read this machine once, as a cluster of one node."""

from __future__ import annotations

import ctypes
import os
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

from cluster.inventory import Cluster, Node
from cluster.probe.amd import has_amd_gpus
from cluster.probe.child import ProbeChild
from cluster.probe.known import KnownGpus
from cluster.probe.lines import ProbeLine, ProbeOrder, Seen
from cluster.probe.naming import with_catalog_types
from cluster.probe.place import Place
from cluster.probe.quarantine import Quarantine
from cluster.probe.query import NO_LIBRARY
from cluster.probe.visible import visible_from
from cluster.telemetry import NodeReading, NodeState

LOCAL_NODE_ID = "local"
_LIBRARY = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"
_LOOK_S = 0.2
_TRIES = 3
_NOWHERE = Place()
# Without a persistence daemon the driver initializes each GPU for the first reader: seconds per GPU.
_PATIENCE_S = 30.0


def has_nvml_library() -> bool:
    """Whether NVML could be loaded; nothing in it is called."""
    try:
        ctypes.CDLL(_LIBRARY)
    except OSError:
        return False
    return True


def has_any_driver() -> bool:
    """Whether there is a driver here, NVIDIA's or amdgpu, whose GPUs can be read."""
    return has_nvml_library() or has_amd_gpus()


def read_seen(timeout_s: float = _PATIENCE_S, env: Mapping[str, str] | None = None) -> Seen:
    """Read this machine once: its node with catalog types, what its GPUs do now and their slow figures.

    Where NVML hangs after the inventory, the reading says so and the detail is None.
    """
    name = socket.gethostname()
    if env is None and not has_any_driver():
        return _unread(Node(node_id=LOCAL_NODE_ID, name=name, error=NO_LIBRARY))
    seen = _read_node(name, timeout_s, env, everything=True)
    return seen._replace(node=with_catalog_types(seen.node))


def read_cluster(timeout_s: float = _PATIENCE_S, env: Mapping[str, str] | None = None) -> Cluster:
    """Read this machine's GPUs in time. Without any, the source is 'none' and the node says why."""
    name = socket.gethostname()
    if env is None and not has_any_driver():
        node = Node(node_id=LOCAL_NODE_ID, name=name, error=NO_LIBRARY)
    else:
        node = with_catalog_types(_read_node(name, timeout_s, env, everything=False).node)
    return Cluster(source="nvml" if node.gpus else "none", nodes=(node,), taken_at_s=time.time())


def _unread(node: Node) -> Seen:
    state: NodeState = "stale" if node.gpus else "no_gpus"
    return Seen(
        node, NodeReading(node_id=node.node_id, taken_at_s=time.time(), state=state, reason=node.error)
    )


@dataclass(frozen=True, slots=True)
class _Try:
    """What one probe process came to."""

    seen: Seen | None
    is_complete: bool
    trouble: str = ""
    place: Place = _NOWHERE
    """The call that hung or ended the process; none where neither did."""
    is_hung: bool = False


def _read_node(name: str, timeout_s: float, env: Mapping[str, str] | None, *, everything: bool) -> Seen:
    """Read in a process; a call or GPU on which it hangs or ends is left out of the next try, in time."""
    quarantine, known, best = Quarantine(), KnownGpus(), None
    until_s = time.monotonic() + timeout_s
    while True:
        done = _try(name, env, until_s, timeout_s / _TRIES, quarantine, everything=everything)
        best = _identified(done.seen, known) or best
        if best is not None and (done.is_complete or not everything):
            return best
        hopeless = done.place.function is None or (done.place.is_required and done.place.gpu_index is None)
        if hopeless or time.monotonic() >= until_s:
            return best or _unread(Node(node_id=LOCAL_NODE_ID, name=name, error=done.trouble))
        record = quarantine.hung if done.is_hung else quarantine.crashed
        record(done.place, done.trouble, time.monotonic(), len(best.node.gpus) if best else 0)


def _try(
    name: str,
    env: Mapping[str, str] | None,
    until_s: float,
    gpu_patience_s: float,
    quarantine: Quarantine,
    *,
    everything: bool,
) -> _Try:
    now_s = time.monotonic()
    order = ProbeOrder(
        node_id=LOCAL_NODE_ID,
        name=name,
        parent_pid=0,
        mark_fd=0,
        once=True,
        skipped=quarantine.skipped(now_s),
        left_out=quarantine.left_out(now_s),
        visible=visible_from(os.environ if env is None else env),
    )
    child = ProbeChild(order, env)
    try:
        return _await_lines(child, until_s, gpu_patience_s, everything=everything)
    finally:
        child.close()


def _await_lines(child: ProbeChild, until_s: float, gpu_patience_s: float, *, everything: bool) -> _Try:
    """Wait for the node's line, or for all. Opening NVML may take all the time, a call on one GPU may not."""
    seen: Seen | None = None
    while not child.ended:
        for line in child.lines(_LOOK_S):
            seen = _with_line(seen, line)
        if seen is not None and (not everything or seen.detail is not None):
            return _Try(seen, is_complete=True)
        now_s, place = time.monotonic(), child.place()
        waited_s = now_s - (place.began_s or now_s)
        if now_s >= until_s or (place.gpu_index is not None and waited_s > gpu_patience_s):
            trouble = f"{place.describe_waiting()} did not return within {waited_s:.0f} s"
            return _Try(_with_trouble(seen, trouble), False, trouble, place, is_hung=True)
    ending = child.how_it_ended()
    place = child.place() if ending.in_call else _NOWHERE
    return _Try(_with_trouble(seen, ending.reason), False, ending.reason, place)


def _identified(seen: Seen | None, known: KnownGpus) -> Seen | None:
    """Keep what an earlier try read of a GPU that this one left out."""
    if seen is None:
        return None
    return seen._replace(node=known.node(seen.node), reading=known.reading(seen.reading))


def _with_line(seen: Seen | None, line: ProbeLine) -> Seen | None:
    if line.node is not None:
        return _unread(line.node)
    if seen is not None and line.reading is not None:
        return seen._replace(reading=line.reading)
    return seen._replace(detail=line.detail) if seen is not None and line.detail is not None else seen


def _with_trouble(seen: Seen | None, trouble: str) -> Seen | None:
    """Say why there is no reading; one that came before the trouble stays as it is."""
    if seen is None or seen.reading.state != "stale":
        return seen
    return seen._replace(reading=seen.reading.model_copy(update={"reason": trouble}))
