"""The one deployment that a command is about, on whichever known cluster it runs."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from cluster.cli.known_clusters import running_sessions
from cluster.cli.session_view import SessionView, say
from cluster.cli.status import unknown_deployment
from cluster.cli.unknown_files import name_foreign_files
from cluster.deploy.status import DeploymentStatus
from cluster.errors import ClusterGone, ClusterviewError

Found = tuple[SessionView, DeploymentStatus]


@contextmanager
def found_deployment(arguments: argparse.Namespace) -> Iterator[Found]:
    """Yield the open view of the cluster and the status of `arguments.name`; UnknownName if there is none."""
    sessions = running_sessions(arguments)
    name_foreign_files()
    with ExitStack() as stack:
        views = [stack.enter_context(SessionView(s, shows_progress=False)) for _, s in sessions]
        yield _find(arguments.name, views)


def _find(name: str, views: list[SessionView]) -> Found:
    running: list[str] = []
    for view in views:
        for status in _deployments(view, alone=len(views) == 1):
            if status.name == name:
                return view, status
            running.append(status.name)
    raise unknown_deployment(name, running)


def _deployments(view: SessionView, *, alone: bool) -> tuple[DeploymentStatus, ...]:
    try:
        return view.settled_deployments()
    except ClusterGone:
        return ()
    except ClusterviewError as error:
        if alone:
            raise
        say(f"{view.session.title}: {error.one_line()}")
        return ()
