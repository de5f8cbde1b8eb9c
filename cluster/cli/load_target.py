"""What `clusterview load` is aimed at: a deployment that runs, or any endpoint."""

from __future__ import annotations

import argparse
import re
from contextlib import ExitStack
from dataclasses import dataclass

from cluster.cli.known_clusters import running_sessions
from cluster.cli.session_view import SessionView, finish, say
from cluster.cli.status import unknown_deployment
from cluster.deploy.spec import DeploymentSpec
from cluster.deploy.status import SERVING, DeploymentStatus
from cluster.errors import BadInput, ClusterGone, ClusterviewError, DeployFailed
from cluster.inventory import Cluster
from cluster.text import clean

_DESCRIBE_S = 10.0


@dataclass(frozen=True, slots=True)
class LoadTarget:
    """Where the requests go; without a deployment nothing can be predicted."""

    base_url: str
    """Without /v1."""
    title: str = ""
    status: DeploymentStatus | None = None
    cluster: Cluster | None = None
    spec: DeploymentSpec | None = None
    """The deployment's order; None where its controller did not answer."""

    @property
    def name(self) -> str:
        """The deployment's name, else the URL."""
        return self.status.name if self.status is not None else self.base_url


def load_target(arguments: argparse.Namespace) -> LoadTarget:
    """Return what the options name; the session on its cluster is closed again."""
    if arguments.url is not None:
        if arguments.name is not None:
            raise BadInput("--url and a deployment's name cannot be combined", "Give one of them")
        return LoadTarget(base_url_of(arguments.url))
    if arguments.model is not None:
        raise BadInput("--model goes with --url", "A deployment serves one model")
    found = _find(arguments)
    status = found.status
    assert status is not None
    if status.state not in SERVING or not status.endpoint:
        reason = f": {status.reason}" if status.reason else ""
        raise DeployFailed(
            f"{status.name} does not serve: it is {status.state}{reason}", "See: clusterview status"
        )
    return found


def base_url_of(url: str) -> str:
    """Return the URL without /v1 and what follows it; BadInput for what is not http or https."""
    match = re.fullmatch(r"(https?://[!-~]{1,1000}?)(/v1(/(chat/)?completions)?)?/*", url)
    if match is None:
        raise BadInput(f"--url {clean(url, 80)!r} is not a URL", "Write it like http://127.0.0.1:8000/v1")
    return match[1].rstrip("/")


def _find(arguments: argparse.Namespace) -> LoadTarget:
    found, names = [], []
    with ExitStack() as stack:
        sessions = [session for _, session in running_sessions(arguments)]
        views = [stack.enter_context(SessionView(one, shows_progress=False)) for one in sessions]
        for view in views:
            try:
                statuses = view.settled_deployments()
            except ClusterGone:
                continue
            except ClusterviewError as error:
                if len(views) == 1:
                    raise
                say(f"{view.session.title}: {error.one_line()}")
                continue
            names += [status.name for status in statuses]
            for status in statuses:
                if arguments.name in (None, status.name):
                    found.append((view, status))
        return _only(arguments.name, found, names)


def _only(
    name: str | None, found: list[tuple[SessionView, DeploymentStatus]], names: list[str]
) -> LoadTarget:
    if not found and name is not None:
        raise unknown_deployment(name, names)
    if not found:
        raise BadInput("no deployment is running", "Deploy one, or give --url http://HOST:PORT/v1")
    if len(found) > 1 and name is None:
        raise BadInput(
            f"{len(found)} deployments are running: {', '.join(sorted(names))}", "Name one of them"
        )
    if len(found) > 1:
        where = " and ".join(view.session.title for view, _ in found)
        raise BadInput(f"{name} runs on {where}", "Say which with --address or --simulate")
    view, status = found[0]
    cluster, spec = view.settled_cluster(), _order_of(view, status.name)
    return LoadTarget(status.endpoint or "", view.session.title, status, cluster, spec)


def _order_of(view: SessionView, name: str) -> DeploymentSpec | None:
    try:
        return finish(view.session.describe(name), _DESCRIBE_S)
    except ClusterviewError as error:
        say(f"the order of {name} is not known ({error.message}): predicted with the engine's default limits")
        return None
