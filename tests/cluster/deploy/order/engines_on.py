"""Clusters whose nodes have said which engines they have."""

from __future__ import annotations

from cluster.inventory import Cluster

Engines = dict[str, str] | None


def with_engines(cluster: Cluster, *engines: Engines, error: str | None = None) -> Cluster:
    """Return the cluster with these engines on its nodes in turn; the last is also for all others."""
    last = len(engines) - 1
    nodes = tuple(
        node.model_copy(update={"engines": engines[min(number, last)], "engines_error": error})
        for number, node in enumerate(cluster.nodes)
    )
    return cluster.model_copy(update={"nodes": nodes, "source": "ray"})
