"""`clusterview deploy`: what the key `d` does, without a screen."""

from __future__ import annotations

import argparse
import json
import signal
from pathlib import Path

from cluster.cli.ask import confirmed
from cluster.cli.defaults import read_defaults
from cluster.cli.progress_lines import ProgressLines
from cluster.cli.ray_inventory import check_has_gpus, say_troubles
from cluster.cli.resolve import model_from, ray_address_from, refuse_two_sources, request_from
from cluster.cli.session_view import SessionView, finish, say
from cluster.deploy.spec import DeploymentSpec
from cluster.deploy.status import DeploymentState, DeploymentStatus
from cluster.errors import BadInput, DeployFailed
from cluster.inventory import Cluster
from cluster.planner.request import EngineName
from cluster.planner.result import Candidate, Plan
from cluster.units import count_of

_ORDER_S = 60.0
_STOP_S = 60.0
_INTERRUPTED = 130
_ENDED = (DeploymentState.READY, DeploymentState.FAILED)


def run(arguments: argparse.Namespace) -> int:
    """Plan on the cluster as it is now, order the layout, and wait until it is ready.

    Prints name and endpoint (or the whole status as JSON) on stdout. Interrupted while it waits, it stops
    what is not ready yet and returns 130.
    """
    from cluster.bridge import open_session

    refuse_two_sources(arguments)
    if arguments.cluster is not None:
        raise BadInput("--cluster names a cluster for planning only", "Deploy with --simulate or --address")
    session = open_session(address=ray_address_from(arguments), simulate=arguments.simulate)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with SessionView(session) as view:
        spec = _make_order(arguments, view)
        if not _confirmed(arguments, spec):
            say("nothing was deployed")
            return 0
        return _order(arguments, view, spec)


def _make_order(arguments: argparse.Namespace, view: SessionView) -> DeploymentSpec:
    from cluster.deploy.make_spec import spec_from

    cluster = view.settled_cluster()
    example = read_defaults().simulated_cluster
    check_has_gpus(cluster, view.session.title, f"Try --simulate {example} or --address HOST:PORT")
    say_troubles(cluster)
    taken = [status.name for status in view.settled_deployments()]
    if arguments.name in taken:
        raise BadInput(f"there is a deployment named {arguments.name} already", "Stop it, or choose a name")
    plan = _plan(arguments, cluster)
    candidate = _choose(plan, cluster.simulated)
    say(f"{plan.model.name}: {candidate.label} {candidate.why}".rstrip())
    for note in candidate.notes:
        say(f"note: {note}")
    folder = arguments.model if arguments.model and Path(arguments.model).expanduser().is_dir() else None
    return spec_from(
        plan,
        candidate,
        model_path=folder,
        simulated=cluster.simulated,
        name=arguments.name,
        taken=taken,
        router_port=arguments.port or 0,
    )


def _plan(arguments: argparse.Namespace, cluster: Cluster) -> Plan:
    from cluster.planner.plan import plan

    # On a simulated cluster a stand-in runs for any model, so the plan may be for any engine.
    engine: EngineName = "vllm" if cluster.simulated else "builtin"
    return plan(cluster, model_from(arguments), request_from(arguments, engine))


def _choose(plan: Plan, simulated: bool) -> Candidate:
    """Return the best layout that can be started; DeployFailed says by how much none fits."""
    from cluster.deploy.make_spec import is_runnable

    candidate = next((item for item in plan.candidates if is_runnable(item, simulated)), plan.recommended)
    if candidate is None:
        raise DeployFailed(f"{plan.model.name}: no layout fits", plan.advice[0] if plan.advice else "")
    if plan.recommended is not None and candidate.layout != plan.recommended.layout:
        say(f"{plan.recommended.label} would be better, but the built-in engine does not run it")
    return candidate


def _confirmed(arguments: argparse.Namespace, spec: DeploymentSpec) -> bool:
    nodes = ", ".join(dict.fromkeys(place.node_name for place in spec.ranks))
    gpus = f"{count_of(len(spec.ranks), 'GPU')} of {nodes}"
    return confirmed(arguments, f"Deploy {spec.name} as {spec.label} on {gpus}?")


def _order(arguments: argparse.Namespace, view: SessionView, spec: DeploymentSpec) -> int:
    try:
        finish(view.session.deploy(spec), _ORDER_S)
        say(f"{spec.name} was ordered")
        if arguments.no_wait:
            _print_result(view, spec.name, as_json=arguments.json)
            return 0
        status = _await_end(view, spec.name)
    except KeyboardInterrupt:
        return _give_up(view, spec.name)
    if status is None or status.state is not DeploymentState.READY:
        reason = status.reason if status is not None else "it was stopped by somebody else"
        if status is not None:
            finish(view.session.stop(spec.name), _STOP_S)
        raise DeployFailed(f"{spec.name} did not become ready: {reason}", "Nothing of it is left running")
    _print_result(view, spec.name, as_json=arguments.json)
    return 0


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
    say(f"stopped {name}; nothing of it is left")
    return _INTERRUPTED


def _print_result(view: SessionView, name: str, *, as_json: bool) -> None:
    view.wait(lambda: view.find(name) is not None, _ORDER_S)
    status = view.find(name)
    if as_json:
        fields = status.model_dump(mode="json") if status is not None else {"name": name}
        print(json.dumps({"schema_version": 1, "cluster": view.session.title, **fields}, indent=2))
    else:
        print(f"{name} {status.endpoint or ''}".rstrip() if status is not None else name)
