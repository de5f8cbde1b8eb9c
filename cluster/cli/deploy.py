"""`clusterview deploy`: what the key `d` does, without a screen."""

from __future__ import annotations

import argparse
import json
import signal

from cluster.cli.ask_user import confirmed
from cluster.cli.deploy_plan import (
    CheckedOptions,
    check_options,
    describe_interpreter,
    describe_weights,
    order_from,
    plan_on,
)
from cluster.cli.deployment_json import deployment_json
from cluster.cli.last_log import print_last_log
from cluster.cli.progress_lines import ProgressLines
from cluster.cli.resolve import ray_address_from, refuse_two_sources
from cluster.cli.session_view import SessionView, finish, say
from cluster.deploy.order import check_name
from cluster.deploy.spec import DeploymentSpec
from cluster.deploy.status import DeploymentState, DeploymentStatus
from cluster.errors import BadInput, DeployFailed
from cluster.units import count_of

_ORDER_S = 60.0
_PREFLIGHT_S = 90.0
_STOP_S = 60.0
_INTERRUPTED = 130
_ENDED = (DeploymentState.READY, DeploymentState.FAILED)


def run(arguments: argparse.Namespace) -> int:
    """Plan on the cluster as it is now, order the layout, and wait until it is ready.

    Prints name and endpoint (or the whole status as JSON) on stdout. Interrupted while it waits, it stops
    what is not ready yet and returns 130. With --dry-run it says what it would do and does nothing.
    """
    from cluster.bridge import open_session

    refuse_two_sources(arguments)
    if arguments.dry_run:
        from cluster.cli.deploy_dry_run import run_deploy_dry_run

        return run_deploy_dry_run(arguments)
    if arguments.cluster is not None:
        raise BadInput("--cluster names a cluster for planning only", "Deploy with --simulate or --address")
    options = check_options(arguments, simulated=arguments.simulate is not None)
    address = ray_address_from(arguments)
    if address is None:
        _check_this_python(runs_builtin=arguments.simulate is not None)
    session = open_session(
        address=address, simulate=arguments.simulate, engine_pythons=options.engine_pythons
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with SessionView(session) as view:
        spec = _make_order(arguments, options, view)
        if address is None and spec.server is None:
            _check_this_python(runs_builtin=True)
        if not _confirmed(arguments, spec):
            say("nothing was deployed")
            return 0
        return _order(arguments, view, spec)


def _check_this_python(*, runs_builtin: bool) -> None:
    """Router and built-in ranks on this machine run in this Python: look before Ray starts for nothing."""
    from cluster.deploy.preflight import check_python_here

    check_python_here(runs_builtin=runs_builtin)


def _make_order(arguments: argparse.Namespace, options: CheckedOptions, view: SessionView) -> DeploymentSpec:
    cluster = view.cluster_with_engines()
    taken = [status.name for status in view.settled_deployments()]
    # Before the plan: the GPUs of that deployment would be what it names as missing.
    check_name(arguments.name, taken)
    plan = plan_on(arguments, options, cluster, view.session.title)
    order = order_from(arguments, options, plan, taken)
    candidate, spec = order.candidate, order.spec
    say(f"{plan.model.name}: {candidate.label} {candidate.why}".rstrip())
    say(f"engine {spec.engine.text}{describe_interpreter(spec)}; {describe_weights(spec)}")
    for note in (*candidate.notes, *spec.remarks):
        say(f"note: {note}")
    return spec


def _confirmed(arguments: argparse.Namespace, spec: DeploymentSpec) -> bool:
    nodes = ", ".join(dict.fromkeys(place.node_name for place in spec.ranks))
    gpus = f"{count_of(len(spec.ranks), 'GPU')} of {nodes}"
    return confirmed(arguments, f"Deploy {spec.name} as {spec.label} on {gpus}?")


def _order(arguments: argparse.Namespace, view: SessionView, spec: DeploymentSpec) -> int:
    try:
        _place_order(view, spec)
        if arguments.no_wait:
            _print_result(view, spec.name, as_json=arguments.json)
            return 0
        status = _await_end(view, spec.name)
    except KeyboardInterrupt:
        return _give_up(view, spec.name)
    if status is None or status.state is not DeploymentState.READY:
        reason = status.reason if status is not None else "it was stopped by somebody else"
        print_last_log(status)
        if status is not None:
            finish(view.session.stop(spec.name), _STOP_S)
        raise DeployFailed(
            f"{spec.name} did not become ready: {reason}", "None of its processes is left running"
        )
    _print_result(view, spec.name, as_json=arguments.json)
    return 0


def _place_order(view: SessionView, spec: DeploymentSpec) -> None:
    """Send the order; what its nodes lack is printed, a line each, before it fails."""
    try:
        finish(view.session.deploy(spec), _ORDER_S + _PREFLIGHT_S)
    except DeployFailed as error:
        problems = [problem for verdict in view.preflight for problem in verdict.problems]
        if len(problems) < 2:
            raise
        for problem in problems:
            say(problem)
        summary = f"{spec.name} was not started: its nodes lack what is listed above"
        raise DeployFailed(summary, error.hint) from None
    say(f"{spec.name} was submitted")


def _await_end(view: SessionView, name: str) -> DeploymentStatus | None:
    """Wait until the deployment is ready, failed or gone; every state has a deadline, so it will be."""
    lines = ProgressLines()
    view.wait(lambda: view.find(name) is not None, _ORDER_S)

    def ended() -> bool:
        status = view.find(name)
        for line in lines.news(status):
            say(line)
        return status is None or status.state in _ENDED

    view.wait(ended, None)
    return view.find(name)


def _give_up(view: SessionView, name: str) -> int:
    say(f"interrupted: stopping {name}, which is not ready yet")
    finish(view.session.stop(name), _STOP_S)
    say(f"stopped {name}; nothing is left running")
    return _INTERRUPTED


def _print_result(view: SessionView, name: str, *, as_json: bool) -> None:
    view.wait(lambda: view.find(name) is not None, _ORDER_S)
    status = view.find(name)
    if as_json:
        title = view.session.title
        fields = deployment_json(title, status) if status is not None else {"cluster": title, "name": name}
        print(json.dumps({"schema_version": 1, **fields}, indent=2))
    else:
        print(f"{name} {status.endpoint or ''}".rstrip() if status is not None else name)
