"""The running clusters that `status` and `stop` look at."""

from __future__ import annotations

import argparse

from cluster.bridge.client import RaySession
from cluster.bridge.open_session import ray_session, simulated_key, simulated_session
from cluster.bridge.protocol import Target
from cluster.bridge.state.records import LOCAL_KEY, read_record, read_records
from cluster.cli.resolve import ray_address_from, refuse_two_sources
from cluster.cli.session_view import say
from cluster.errors import BadInput


def running_sessions(arguments: argparse.Namespace) -> list[tuple[str | None, RaySession]]:
    """Return sessions, not yet started, on the clusters that run: the one named, else all that are known.

    Each comes with its key where it is an embedded cluster of ours. None of them starts a cluster.
    """
    refuse_two_sources(arguments)
    if arguments.cluster is not None:
        raise BadInput("--cluster names a cluster for planning only", "Nothing is ever deployed there")
    if arguments.simulate is not None:
        key = simulated_key(arguments.simulate)
        running = read_record(key) is not None
        return [(key, simulated_session(arguments.simulate, start=False))] if running else []
    if arguments.address:
        return [(None, ray_session(arguments.address))]
    embedded = [(record.key, _embedded(record.key)) for record in read_records()]
    return [*_by_environment(arguments, alone=not embedded), *embedded]


def _by_environment(arguments: argparse.Namespace, *, alone: bool) -> list[tuple[str | None, RaySession]]:
    """Return the session on RAY_ADDRESS; an invalid one does not hide other clusters."""
    address = ray_address_from(arguments)
    try:
        return [(None, ray_session(address))] if address else []
    except BadInput as refused:
        if alone:
            raise
        say(refused.one_line())
        return []


def _embedded(key: str) -> RaySession:
    if key == LOCAL_KEY:
        return RaySession(Target(start=False), "this machine")
    return RaySession(Target(simulate=key, start=False), f"simulated {key}")
