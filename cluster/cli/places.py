"""Where deployments may be running: the clusters that a command looks at."""

from __future__ import annotations

import argparse

from cluster.bridge.client import RaySession
from cluster.bridge.open_session import simulated_key
from cluster.bridge.protocol import Target
from cluster.bridge.records import LOCAL_KEY, read_record, read_records
from cluster.cli.resolve import ray_address_from, refuse_two_sources
from cluster.errors import BadInput
from cluster.text import clean


def running_sessions(arguments: argparse.Namespace) -> list[tuple[str | None, RaySession]]:
    """Return sessions, not yet started, on the clusters that run: the one named, else all that are known.

    Each comes with its key where it is an embedded cluster of ours. None of them starts a cluster.
    """
    refuse_two_sources(arguments)
    if arguments.cluster is not None:
        raise BadInput("--cluster names a cluster for planning only", "Nothing is ever deployed there")
    if arguments.simulate is not None:
        key = simulated_key(arguments.simulate)
        return [(key, _embedded(key))] if read_record(key) is not None else []
    address = ray_address_from(arguments)
    named = [(None, RaySession(Target(address=address), f"ray {clean(address, 80)}"))] if address else []
    if arguments.address:
        return list(named)
    return [*named, *((record.key, _embedded(record.key)) for record in read_records())]


def _embedded(key: str) -> RaySession:
    if key == LOCAL_KEY:
        return RaySession(Target(start=False), "this machine")
    return RaySession(Target(simulate=key, start=False), f"simulated {key}")
