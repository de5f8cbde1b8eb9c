"""Read this machine once, as a cluster of one node."""

from __future__ import annotations

import ctypes
import socket
import sys
import time
from collections.abc import Mapping

from cluster.inventory import Cluster, Node
from cluster.probe.amd import has_amd_gpus
from cluster.probe.child import ProbeChild
from cluster.probe.lines import ProbeLine, ProbeOrder, Seen
from cluster.probe.naming import with_catalog_types
from cluster.probe.query import NO_LIBRARY
from cluster.telemetry import NodeReading

LOCAL_NODE_ID = "local"
_LIBRARY = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"
_LOOK_S = 0.2
_TRIES = 3
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
    state = "stale" if node.gpus else "no_gpus"
    return Seen(
        node, NodeReading(node_id=node.node_id, taken_at_s=time.time(), state=state, reason=node.error)
    )


def _read_node(name: str, timeout_s: float, env: Mapping[str, str] | None, *, everything: bool) -> Seen:
    """Read in a process; a GPU on which that hangs is left out of the next try, while there is time."""
    skipped: dict[int, str] = {}
    until_s = time.monotonic() + timeout_s
    while True:
        order = ProbeOrder(
            node_id=LOCAL_NODE_ID, name=name, parent_pid=0, mark_fd=0, once=True, skipped=skipped
        )
        child = ProbeChild(order, env)
        try:
            seen, trouble = _await_node(child, until_s, timeout_s / _TRIES, everything=everything)
            place = child.place()
        finally:
            child.close()
        if seen is not None:
            return seen
        if place.gpu_index is None or place.gpu_index in skipped or time.monotonic() >= until_s:
            return _unread(Node(node_id=LOCAL_NODE_ID, name=name, error=trouble))
        skipped = {**skipped, place.gpu_index: trouble}


def _await_node(
    child: ProbeChild, until_s: float, gpu_patience_s: float, *, everything: bool
) -> tuple[Seen | None, str]:
    """Wait for the node's line, or for all. Opening NVML may take all the time, a call on one GPU may not."""
    began_s, place = time.monotonic(), child.place()
    seen: Seen | None = None
    while not child.ended:
        for line in child.lines(_LOOK_S):
            seen = _with_line(seen, line)
        if seen is not None and (not everything or seen.detail is not None):
            return seen, ""
        now_s, last_place, place = time.monotonic(), place, child.place()
        began_s = began_s if place == last_place else now_s
        waited_s = now_s - began_s
        if now_s >= until_s or (place.gpu_index is not None and waited_s > gpu_patience_s):
            trouble = f"{place.describe()} did not return within {waited_s:.0f} s"
            return _with_trouble(seen, trouble), trouble
    trouble = child.how_it_ended()
    return _with_trouble(seen, trouble), trouble


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
