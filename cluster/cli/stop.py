"""`clusterview stop`: end deployments and free their GPUs, wherever they run."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from cluster.bridge.state.records import keeper_lives, read_record
from cluster.cli.ask_user import confirmed
from cluster.cli.known_clusters import running_sessions
from cluster.cli.session_view import SessionView, finish, say
from cluster.cli.status import unknown_deployment
from cluster.cli.unknown_files import name_foreign_files
from cluster.deploy.status import DeploymentStatus
from cluster.errors import BadInput, ClusterGone, ClusterviewError
from cluster.units import count_of

_STOP_S = 120.0
_RECORD_GOES_S = 2.5
_CLUSTER_ENDS_S = 10.0
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class _Found:
    """The deployments on one cluster, and those among them to stop."""

    key: str | None
    """Of an embedded cluster of ours; None elsewhere."""
    view: SessionView
    running: tuple[DeploymentStatus, ...]
    wanted: tuple[DeploymentStatus, ...]


def run(arguments: argparse.Namespace) -> int:
    """Stop the named deployment, or all; returns when their GPUs are free and unused clusters are gone.

    Asks first if there is a terminal, unless --yes is given.
    """
    if (arguments.name is None) == (not arguments.all):
        raise BadInput("stop takes the name of one deployment, or --all", "See: clusterview status")
    sessions = running_sessions(arguments)
    name_foreign_files()
    with ExitStack() as stack:
        views = [(key, stack.enter_context(SessionView(s, shows_progress=False))) for key, s in sessions]
        found = [_look(arguments, key, view, alone=len(views) == 1) for key, view in views]
        wanted = [status for one in found for status in one.wanted]
        if not wanted:
            return _nothing_to_stop(arguments, found)
        if arguments.dry_run:
            print("\n".join(f"would stop {line}" for line in map(_describe_status, wanted)))
            return 0
        if not _confirmed(arguments, [_describe_status(status) for status in wanted]):
            say("nothing was stopped")
            return 0
        _stop(found, arguments.drain_timeout)
    _await_ends([one.key for one in found if one.key and one.wanted and one.wanted == one.running])
    return 0


def _look(arguments: argparse.Namespace, key: str | None, view: SessionView, *, alone: bool) -> _Found:
    running: tuple[DeploymentStatus, ...] = ()
    try:
        running = view.settled_deployments()
    except ClusterGone:
        # It ended after its record was read, and its deployments with it.
        pass
    except ClusterviewError as error:
        if alone:
            raise
        say(f"{view.session.title}: {error.one_line()}")
    wanted = tuple(status for status in running if arguments.all or status.name == arguments.name)
    return _Found(key, view, running, wanted)


def _nothing_to_stop(arguments: argparse.Namespace, found: list[_Found]) -> int:
    if not arguments.all:
        raise unknown_deployment(arguments.name, [status.name for one in found for status in one.running])
    say("no deployment is running")
    return 0


def _confirmed(arguments: argparse.Namespace, wanted: list[str]) -> bool:
    if len(wanted) == 1:
        return confirmed(arguments, f"Stop {wanted[0]}?")
    return confirmed(arguments, f"Stop these {len(wanted)} deployments?", wanted)


def _describe_status(status: DeploymentStatus) -> str:
    parts = [str(status.state), status.model]
    if status.ranks:
        parts.append(count_of(len(status.ranks), "GPU"))
    if status.endpoint:
        parts.append(status.endpoint)
    return f"{status.name} ({', '.join(parts)})"


def _stop(found: list[_Found], drain_s: float) -> None:
    """Stop all selected deployments even if some fail; raises the first failure at the end."""
    failures: list[Exception] = []
    for view, name in _orders(found):
        try:
            finish(view.session.stop(name, drain_s), drain_s + _STOP_S)
            print(f"stopped {name}", flush=True)
        except ClusterviewError as error:
            if failures:
                say(f"{name}: {error.one_line()}")
            failures.append(error)
        except OSError as error:
            # stdout is closed or full, but the others must still be stopped.
            failures.append(error)
    if failures:
        raise failures[0]


def _orders(found: list[_Found]) -> Iterator[tuple[SessionView, str]]:
    for one in found:
        yield from ((one.view, status.name) for status in one.wanted)


def _await_ends(keys: list[str]) -> None:
    """Wait until embedded clusters that are no longer needed have ended; one with an open screen stays."""
    began_s = time.monotonic()
    while keys and (waited_s := time.monotonic() - began_s) < _CLUSTER_ENDS_S:
        # The record goes first, the lock with the last process.
        stay = [key for key in keys if waited_s > _RECORD_GOES_S and read_record(key) is not None]
        keys = [key for key in keys if key not in stay and keeper_lives(key)]
        time.sleep(_LOOK_S)
