"""This machine as a cluster of one node, read once: for plans without a screen."""

from __future__ import annotations

import ctypes
import socket
import sys
import time
from collections.abc import Mapping

from cluster.inventory import Cluster, Node
from cluster.probe.child import ProbeChild
from cluster.probe.lines import ProbeOrder
from cluster.probe.naming import with_catalogue_types

LOCAL_NODE_ID = "local"
_LIBRARY = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"
NO_LIBRARY = f"no NVIDIA driver library ({_LIBRARY}) on this machine"


def has_nvml_library() -> bool:
    """Tell whether NVML could be loaded; nothing in it is called."""
    try:
        ctypes.CDLL(_LIBRARY)
    except OSError:
        return False
    return True


def read_cluster(timeout_s: float = 10.0, env: Mapping[str, str] | None = None) -> Cluster:
    """Read this machine's GPUs in time. Without any, the source is 'none' and the node says why."""
    name = socket.gethostname()
    if env is None and not has_nvml_library():
        node = Node(node_id=LOCAL_NODE_ID, name=name, error=NO_LIBRARY)
    else:
        node = with_catalogue_types(_read_node(name, timeout_s, env))
    return Cluster(source="nvml" if node.gpus else "none", nodes=(node,), taken_at_s=time.time())


def _read_node(name: str, timeout_s: float, env: Mapping[str, str] | None) -> Node:
    """Read in a process; when that hangs on one GPU, read once more without it."""
    skipped: dict[int, str] = {}
    for deadline_s in (0.6 * timeout_s, 0.4 * timeout_s):
        order = ProbeOrder(
            node_id=LOCAL_NODE_ID, name=name, parent_pid=0, mark_fd=0, once=True, skipped=skipped
        )
        child = ProbeChild(order, env)
        try:
            node, trouble = _await_node(child, deadline_s)
            place = child.place()
        finally:
            child.close()
        if node is not None:
            return node
        if place.gpu_index is not None:
            skipped = {**skipped, place.gpu_index: trouble}
    return Node(node_id=LOCAL_NODE_ID, name=name, error=trouble)


def _await_node(child: ProbeChild, deadline_s: float) -> tuple[Node | None, str]:
    until_s = time.monotonic() + deadline_s
    while not child.ended and (left_s := until_s - time.monotonic()) > 0:
        for line in child.lines(left_s):
            if line.node is not None:
                return line.node, ""
    if child.ended:
        return None, child.how_it_ended()
    return None, f"{child.place().in_words()} did not return within {deadline_s:.0f} s"
