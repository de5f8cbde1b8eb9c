"""Read this machine once, as a cluster of one node."""

from __future__ import annotations

import ctypes
import socket
import sys
import time
from collections.abc import Mapping

from cluster.inventory import Cluster, Node
from cluster.probe.child import ProbeChild
from cluster.probe.lines import ProbeOrder
from cluster.probe.naming import with_catalog_types
from cluster.probe.query import NO_LIBRARY

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


def read_cluster(timeout_s: float = _PATIENCE_S, env: Mapping[str, str] | None = None) -> Cluster:
    """Read this machine's GPUs in time. Without any, the source is 'none' and the node says why."""
    name = socket.gethostname()
    if env is None and not has_nvml_library():
        node = Node(node_id=LOCAL_NODE_ID, name=name, error=NO_LIBRARY)
    else:
        node = with_catalog_types(_read_node(name, timeout_s, env))
    return Cluster(source="nvml" if node.gpus else "none", nodes=(node,), taken_at_s=time.time())


def _read_node(name: str, timeout_s: float, env: Mapping[str, str] | None) -> Node:
    """Read in a process; a GPU on which that hangs is left out of the next try, while there is time."""
    skipped: dict[int, str] = {}
    until_s = time.monotonic() + timeout_s
    while True:
        order = ProbeOrder(
            node_id=LOCAL_NODE_ID, name=name, parent_pid=0, mark_fd=0, once=True, skipped=skipped
        )
        child = ProbeChild(order, env)
        try:
            node, trouble = _await_node(child, until_s, timeout_s / _TRIES)
            place = child.place()
        finally:
            child.close()
        if node is not None:
            return node
        if place.gpu_index is None or place.gpu_index in skipped or time.monotonic() >= until_s:
            return Node(node_id=LOCAL_NODE_ID, name=name, error=trouble)
        skipped = {**skipped, place.gpu_index: trouble}


def _await_node(child: ProbeChild, until_s: float, gpu_patience_s: float) -> tuple[Node | None, str]:
    """Wait for the node's line. Opening NVML may take all the time there is, a call on one GPU may not."""
    began_s, place = time.monotonic(), child.place()
    while not child.ended:
        for line in child.lines(_LOOK_S):
            if line.node is not None:
                return line.node, ""
        now_s, last_place, place = time.monotonic(), place, child.place()
        began_s = began_s if place == last_place else now_s
        waited_s = now_s - began_s
        if now_s >= until_s or (place.gpu_index is not None and waited_s > gpu_patience_s):
            return None, f"{place.describe()} did not return within {waited_s:.0f} s"
    return None, child.how_it_ended()
