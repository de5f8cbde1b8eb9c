"""`clusterview deploy --dry-run`: plan, order and preflight of a deployment; nothing is started."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cluster.bridge.session import Session
from cluster.cli.deploy_plan import CheckedOptions, check_options, order_from, plan_on
from cluster.cli.dry_run import most_in_json
from cluster.cli.print_order import order_lines, order_to_json
from cluster.cli.resolve import planning_cluster_from, ray_address_from
from cluster.cli.session_view import SessionView, finish, say
from cluster.deploy.preflight import NodeVerdict, verdicts_here, verdicts_not_checked
from cluster.deploy.server_commands import ServerCommand, server_commands
from cluster.deploy.spec import DeploymentSpec
from cluster.errors import DeployFailed
from cluster.inventory import Cluster
from cluster.planner.result import Plan
from cluster.text import clean

_CHECK_S = 150.0
_NOT_RUNNING = "the simulated cluster is not running; checked this Python, which its nodes will use"
_DESCRIBED = "not checked: --cluster only describes a cluster. Use --address to check running nodes"


@dataclass(frozen=True, slots=True)
class Looked:
    """A cluster as an order meets it."""

    title: str
    cluster: Cluster
    taken: tuple[str, ...]
    """Names of deployments."""
    preflight: Callable[[DeploymentSpec], tuple[NodeVerdict, ...]]
    note: str = ""
    """Why the nodes themselves were not asked."""


def run_deploy_dry_run(arguments: argparse.Namespace) -> int:
    """Print plan, order and preflight; 0 when the deployment could start, 1 when not."""
    described = planning_cluster_from(arguments)
    simulated = arguments.simulate is not None or (described is not None and described.simulated)
    options = check_options(arguments, simulated=simulated)
    with _look(arguments, described, options) as looked:
        plan = plan_on(arguments, options, looked.cluster, looked.title)
        try:
            spec = order_from(arguments, options, plan, looked.taken).spec
        except DeployFailed as error:
            _print(arguments, plan, None, (), "", ())
            say(error.one_line())
            return 1
        verdicts = looked.preflight(spec)
    commands = server_commands(spec, {node.node_id: node.address or node.name for node in plan.cluster.nodes})
    _print(arguments, plan, spec, verdicts, looked.note, commands)
    return 1 if any(verdict.problems for verdict in verdicts) else 0


def _print(
    arguments: argparse.Namespace,
    plan: Plan,
    spec: DeploymentSpec | None,
    verdicts: tuple[NodeVerdict, ...],
    note: str,
    commands: tuple[ServerCommand, ...],
) -> None:
    if arguments.json:
        from cluster.cli.print_json import print_json

        print_json(plan, arguments.top or most_in_json(plan), order_to_json(spec, verdicts, note, commands))
        return
    from cluster.cli.print_plan import print_plan

    print_plan(plan)
    if spec is not None:
        print("\n".join(order_lines(spec, verdicts, note, commands)))


@contextmanager
def _look(
    arguments: argparse.Namespace, described: Cluster | None, options: CheckedOptions
) -> Iterator[Looked]:
    if described is not None:
        yield Looked(clean(arguments.cluster, 80), described, (), verdicts_not_checked, _DESCRIBED)
        return
    session = _session(arguments, options)
    if session is None:
        from cluster.scenes.cluster import simulated_cluster

        cluster = simulated_cluster(arguments.simulate)
        yield Looked(f"simulated {arguments.simulate}", cluster, (), verdicts_here, _NOT_RUNNING)
        return
    with SessionView(session) as view:
        cluster = view.cluster_with_engines()
        taken = tuple(status.name for status in view.settled_deployments())
        yield Looked(session.title, cluster, taken, lambda spec: _preflight(view, spec))


def _session(arguments: argparse.Namespace, options: CheckedOptions) -> Session | None:
    """Return a session that starts no cluster; None for a simulated cluster that does not run."""
    if arguments.simulate is not None:
        from cluster.cli.known_clusters import running_sessions

        return next((session for _, session in running_sessions(arguments)), None)
    from cluster.bridge import open_session

    address = ray_address_from(arguments)
    return open_session(address=address, simulate=None, engine_pythons=options.engine_pythons)


def _preflight(view: SessionView, spec: DeploymentSpec) -> tuple[NodeVerdict, ...]:
    finish(view.session.check(spec), _CHECK_S)
    return view.preflight
