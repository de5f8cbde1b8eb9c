"""`clusterview status`: the deployments on every known running cluster."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import ExitStack

from cluster.bridge.state.losses import read_losses
from cluster.catalog.nearest import nearest_names
from cluster.cli.deployment_json import deployment_json
from cluster.cli.known_clusters import running_sessions
from cluster.cli.session_view import SessionView, say
from cluster.cli.status_lines import status_lines
from cluster.cli.troubles import loss_line
from cluster.cli.unknown_files import name_foreign_files
from cluster.deploy.status import DeploymentStatus
from cluster.errors import ClusterGone, ClusterviewError, UnknownName

Found = tuple[str, DeploymentStatus]
"""(title of the cluster, deployment)."""


def run(arguments: argparse.Namespace) -> int:
    """Print all deployments, or the one that is named; UnknownName when there is none of that name."""
    found, losses = list(_look(arguments)), read_losses()
    if arguments.name is not None:
        found = _only(arguments.name, found)
    if arguments.json:
        rows = [deployment_json(title, status) for title, status in found]
        lost = [loss.model_dump(mode="json", exclude={"mark"}) for loss in losses]
        print(json.dumps({"schema_version": 1, "deployments": rows, "lost": lost}, indent=2))
        return 0
    if not found:
        print("no deployment is running")
    for title, status in found:
        print("\n".join(status_lines(title, status)))
    for loss in losses:
        print(loss_line(loss))
    return 0


def _look(arguments: argparse.Namespace) -> Iterator[Found]:
    sessions = running_sessions(arguments)
    name_foreign_files()
    with ExitStack() as stack:
        views = [stack.enter_context(SessionView(s, shows_progress=False)) for _, s in sessions]
        for view in views:
            try:
                yield from ((view.session.title, status) for status in view.settled_deployments())
            except ClusterGone:
                continue
            except ClusterviewError as error:
                if len(views) == 1:
                    raise
                say(f"{view.session.title}: {error.one_line()}")


def _only(name: str, found: list[Found]) -> list[Found]:
    named = [(title, status) for title, status in found if status.name == name]
    if not named:
        raise unknown_deployment(name, [status.name for _, status in found])
    return named


def unknown_deployment(name: str, running: list[str]) -> UnknownName:
    """Return the error for an unknown deployment: why it was lost, else the nearest names."""
    for loss in read_losses():
        if name in loss.deployments:
            return UnknownName(f"no deployment named {name} is running", loss_line(loss))
    nearest = nearest_names(name, running)
    hint = f"Running: {', '.join(sorted(running))}" if running else "No deployment is running"
    hint = f"Nearest: {', '.join(nearest)}" if nearest else hint
    return UnknownName(f"there is no deployment named {name}", hint)
