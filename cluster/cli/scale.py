"""`clusterview scale`: change a deployment's number of replicas while it serves."""

from __future__ import annotations

import argparse
import json
from concurrent.futures import Future

from cluster.cli.ask_user import confirmed
from cluster.cli.deployment_json import deployment_json
from cluster.cli.find_deployment import found_deployment
from cluster.cli.progress_lines import ProgressLines
from cluster.cli.session_view import SessionView, finish, say
from cluster.deploy.order.scale import first_to_end, grown
from cluster.deploy.resized import check_scalable, replicas_of, without_replicas
from cluster.deploy.spec import DeploymentSpec, RankPlace
from cluster.deploy.status import DeploymentStatus
from cluster.errors import DeployFailed
from cluster.units import count_of

_ANSWER_S = 15.0
_SHOWS_S = 5.0
_LOOK_S = 0.5
_INTERRUPTED = 130


def run(arguments: argparse.Namespace) -> int:
    """Run `arguments.replicas` replicas; returns when the new ones serve, or the others' GPUs are free.

    Asks before replicas end. Prints name, endpoint and replicas (or the status as JSON) on stdout.
    """
    with found_deployment(arguments) as (view, status):
        spec = finish(view.session.describe(status.name), _ANSWER_S)
        check_scalable(spec, arguments.replicas)
        now = len(replicas_of(spec))
        if arguments.replicas == now:
            say(f"{spec.name} already runs {count_of(now, 'replica')}")
            return _print_result(view, spec.name, as_json=arguments.json)
        wanted = _wanted(arguments, view, status, spec)
        if wanted is None:
            say("nothing was changed")
            return 0
        return _scale(arguments, view, wanted)


def _wanted(
    arguments: argparse.Namespace, view: SessionView, status: DeploymentStatus, spec: DeploymentSpec
) -> DeploymentSpec | None:
    """Return the order to change to, None if the user keeps the replicas there are."""
    count, now = arguments.replicas, replicas_of(spec)
    if count > len(now):
        wanted = grown(spec, count, view.settled_cluster())
        for number in replicas_of(wanted):
            if number not in now:
                say(f"replica {number} starts on {gpus_text(wanted, number)}")
        return wanted
    ended = first_to_end(status.replicas, len(now) - count)
    for number in ended:
        say(f"replica {number} ends: {gpus_text(spec, number)}")
    question = f"End {count_of(len(ended), 'replica')} of {spec.name}?"
    return without_replicas(spec, ended) if confirmed(arguments, question) else None


def gpus_text(spec: DeploymentSpec, replica: int) -> str:
    """Return a replica's GPUs by node: 'GPU 2, 3 on node-1'."""
    by_node: dict[str, list[RankPlace]] = {}
    for place in spec.ranks:
        if place.replica == replica:
            by_node.setdefault(place.node_name, []).append(place)
    return "; ".join(
        f"GPU {', '.join(str(place.gpu_index) for place in places)} on {node}"
        for node, places in by_node.items()
    )


def _scale(arguments: argparse.Namespace, view: SessionView, wanted: DeploymentSpec) -> int:
    try:
        done = view.session.scale(wanted, arguments.drain_timeout)
        _follow(view, wanted.name, done)
        _report_failure(view, wanted.name, done)
    except KeyboardInterrupt:
        say(f"interrupted: {wanted.name} goes on with the change; see: clusterview status {wanted.name}")
        return _INTERRUPTED
    return _print_result(view, wanted.name, as_json=arguments.json)


def _follow(view: SessionView, name: str, done: Future[None]) -> None:
    """Print a line for each change until it is done; every step of it has a deadline, so it will be."""
    lines = ProgressLines()
    while not done.done():
        for line in lines.news(view.find(name)):
            say(line)
        view.wait(done.done, _LOOK_S)


def _report_failure(view: SessionView, name: str, done: Future[None]) -> None:
    """Raise the error of the change; what the nodes lack and the new server's last lines come first."""
    try:
        done.result()
    except DeployFailed as error:
        problems = [problem for verdict in view.preflight for problem in verdict.problems]
        if len(problems) > 1:
            for problem in problems:
                say(problem)
            summary = f"{name} was not scaled: its new nodes lack what is listed above"
            raise DeployFailed(summary, error.hint) from None
        status = view.find(name)
        for line in status.scaling.last_log if status is not None and status.scaling is not None else ():
            say(f"  {line}")
        raise


def _print_result(view: SessionView, name: str, *, as_json: bool) -> int:
    view.wait(lambda: _is_settled(view.find(name)), _SHOWS_S)
    status = view.find(name)
    if status is None:
        raise DeployFailed(f"{name} was stopped by somebody else")
    if as_json:
        print(json.dumps({"schema_version": 1, **deployment_json(view.session.title, status)}, indent=2))
    else:
        print(f"{name} {status.endpoint or ''} {count_of(len(status.replicas), 'replica')}")
    return 0


def _is_settled(status: DeploymentStatus | None) -> bool:
    """True when the status that was seen last is newer than the change."""
    return status is None or status.scaling is None or status.scaling.is_over
