"""Read a running Ray cluster once, and report what could not be read."""

from __future__ import annotations

import sys

from cluster.bridge.open_session import open_session
from cluster.cli.session_view import SessionView, say
from cluster.errors import BadInput
from cluster.inventory import Cluster

_NODES_NAMED = 3
OBSERVED_S = 12.0
"""How long a dashboard may take to hear of a node: Ray's reporters send every 5 s."""
_LINES = 5


def read_ray_cluster(address: str) -> Cluster:
    """Return the cluster at a Ray address once every node has answered or is known to be late.

    A node that is late, or left meanwhile, is there with its error. Unreachable when there is no cluster.
    """
    session = open_session(address=address, simulate=None)
    with SessionView(session, shows_progress=sys.stderr.isatty()) as view:
        return view.settled_cluster()


def read_observed(url: str) -> Cluster:
    """Return the cluster that Ray's dashboard at `url` shows, and say what it cannot show.

    Unreachable when nothing answers there.
    """
    from cluster.bridge.observe.nodes import ASSUMED_LINKS

    session = open_session(address=None, simulate=None, observe=url)
    with SessionView(session, shows_progress=False) as view:
        cluster = view.settled_cluster(probes_s=OBSERVED_S)
    if any(gpu.nvlink_island is not None for node in cluster.nodes for gpu in node.gpus):
        say(ASSUMED_LINKS)
    return cluster


def say_troubles(cluster: Cluster) -> None:
    """Report on stderr which nodes could not be read, or only in part, and why."""
    for line in trouble_lines(cluster):
        say(line)


def check_has_gpus(cluster: Cluster, title: str, hint: str) -> None:
    """Raise BadInput, with what every node said, where there is no GPU at all."""
    if cluster.num_gpus:
        return
    lines = trouble_lines(cluster)
    if not lines:
        names = _names([node.name for node in cluster.nodes])
        reason = f"neither Ray nor NVML reports one on {names}" if cluster.nodes else "it has no nodes"
        raise BadInput(f"no GPU on {title}: {reason}", hint)
    raise BadInput(f"no GPU on {title}: {'; '.join(line.removesuffix('.') for line in lines)}", hint)


def trouble_lines(cluster: Cluster) -> list[str]:
    """Return a line for each thing that is wrong with nodes: 'node gpu-a: Ray counts 8 GPUs, ...'."""
    by_error: dict[str, list[str]] = {}
    for node in cluster.nodes:
        if node.error:
            by_error.setdefault(node.error, []).append(node.name)
    lines = [
        f"node{'s' if len(names) > 1 else ''} {_names(names)}: {error}" for error, names in by_error.items()
    ]
    if len(lines) <= _LINES:
        return lines
    return [*lines[:_LINES], f"{len(lines) - _LINES} more nodes have other problems; see: clusterview doctor"]


def _names(names: list[str]) -> str:
    more = len(names) - _NODES_NAMED
    return ", ".join(names[:_NODES_NAMED]) + (f" and {more} more" if more > 0 else "")
