"""`clusterview stop`: end deployments and free their GPUs, wherever they run."""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack

from cluster.bridge.records import keeper_lives, read_record
from cluster.cli.places import running_sessions
from cluster.cli.session_view import SessionView, finish, say
from cluster.cli.status import unknown_deployment
from cluster.errors import BadInput, ClusterviewError

_STOP_S = 120.0
_RECORD_GOES_S = 2.5
_CLUSTER_ENDS_S = 10.0
_LOOK_S = 0.1


def run(arguments: argparse.Namespace) -> int:
    """Stop the named deployment, or all; returns when their GPUs are free and unused clusters are gone."""
    if (arguments.name is None) == (not arguments.all):
        raise BadInput("stop takes the name of one deployment, or --all", "See: clusterview status")
    sessions = running_sessions(arguments)
    emptied: list[str] = []
    with ExitStack() as stack:
        views = [(key, stack.enter_context(SessionView(s, tells_progress=False))) for key, s in sessions]
        stopped, running = [], []
        for key, view in views:
            names = _names(view, alone=len(views) == 1)
            running += names
            wanted = names if arguments.all else [name for name in names if name == arguments.name]
            stopped += wanted
            if arguments.dry_run:
                for name in wanted:
                    print(f"would stop {name} on {view.session.title}", flush=True)
                continue
            for name in wanted:
                finish(view.session.stop(name), _STOP_S)
                print(f"stopped {name}", flush=True)
            if key is not None and wanted and wanted == names:
                emptied.append(key)
    if not stopped:
        if arguments.all:
            say("no deployment is running")
        else:
            raise unknown_deployment(arguments.name, running)
    _await_ends(emptied)
    return 0


def _names(view: SessionView, *, alone: bool) -> list[str]:
    try:
        return [status.name for status in view.settled_deployments()]
    except ClusterviewError as error:
        if alone:
            raise
        say(f"{view.session.title}: {error.one_line()}")
        return []


def _await_ends(keys: list[str]) -> None:
    """Wait for the end of embedded clusters that nobody needs any more; one with a screen on it stays."""
    began_s = time.monotonic()
    while keys and (waited_s := time.monotonic() - began_s) < _CLUSTER_ENDS_S:
        # The record goes first, the lock with the last process.
        stay = [key for key in keys if waited_s > _RECORD_GOES_S and read_record(key) is not None]
        keys = [key for key in keys if key not in stay and keeper_lives(key)]
        time.sleep(_LOOK_S)
