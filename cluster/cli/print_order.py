"""What a deployment would start, and what its nodes have of it: as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cluster.cli.deploy_plan import describe_interpreter, describe_weights
from cluster.cli.style import style_for_stdout
from cluster.deploy.preflight import NodeVerdict
from cluster.deploy.server_commands import ServerCommand
from cluster.deploy.spec import DeploymentSpec, RankPlace
from cluster.planner.layout_json import layout_to_json, placement_to_json
from cluster.units import count_of, format_gib

Json = dict[str, Any]


def order_to_json(
    spec: DeploymentSpec | None,
    verdicts: Sequence[NodeVerdict],
    note: str,
    commands: Sequence[ServerCommand] = (),
) -> Json:
    """Return what a dry run of a deployment adds to the plan; `note` says why nodes were not asked."""
    return {
        "order": None if spec is None else {**_order(spec), "commands": [_command(one) for one in commands]},
        "preflight": [verdict.model_dump(mode="json") for verdict in verdicts],
        "preflight_note": note or None,
    }


def _order(spec: DeploymentSpec) -> Json:
    source, layout = spec.model, spec.layout
    return {
        "name": spec.name,
        "model": source.name,
        "weights": source.weights,
        "weights_folder": source.path,
        "hub_id": source.hub_id,
        "engine": spec.engine.model_dump(mode="json"),
        "label": spec.label,
        "layout": layout_to_json(layout),
        "tp": layout.tp,
        "pp": layout.pp,
        "dp": layout.dp,
        **spec.model_dump(mode="json", include={"device", "dtype", "max_model_len", "max_num_seqs"}),
        "router_port": spec.router_port or None,
        "simulated": spec.simulated,
        "scale": source.scale,
        "remarks": list(spec.remarks),
        "ranks": [
            {**placement_to_json(place.placement, layout), "planned_bytes": place.planned_bytes}
            for place in spec.ranks
        ],
    }


def _command(one: ServerCommand) -> Json:
    return {
        "replica": one.replica,
        "member": one.member,
        "node": one.node_name,
        "env": one.command.env,
        "argv": list(one.command.argv),
    }


def order_lines(
    spec: DeploymentSpec, verdicts: Sequence[NodeVerdict], note: str, commands: Sequence[ServerCommand] = ()
) -> Iterator[str]:
    """Yield the order, the servers' commands and the preflight line by line."""
    style = style_for_stdout()
    yield ""
    yield style.bold(f"Deployment {spec.name}: {spec.label} on {count_of(len(spec.ranks), 'GPU')}")
    scale = f", SIMULATED, {spec.model.scale}" if spec.simulated else ""
    yield f"  model   {spec.model.name}, {describe_weights(spec)}{scale}"
    yield f"  engine  {spec.engine.text}{describe_interpreter(spec)}"
    sequences = count_of(spec.max_num_seqs, "sequence")
    yield f"  limits  {sequences} of {spec.max_model_len:,} tokens per replica, {spec.dtype}"
    port = f"port {spec.router_port}" if spec.router_port else "a free port"
    yield f"  router  {spec.router_host}, {port}"
    yield from (f"  note    {remark}" for remark in spec.remarks)
    yield from (f"  {_describe_rank(place)}" for place in spec.ranks)
    if commands:
        yield ""
        yield style.bold("Commands, one per server (with free ports when deployed)")
        yield from (f"  {one.node_name}: {one.text}" for one in commands)
    yield ""
    yield style.bold("Preflight")
    if note:
        yield f"  {note}"
    for verdict in verdicts:
        yield from (f"  {line}" for line in _verdict_lines(verdict))
    yield ""
    yield "Nothing was started."


def _describe_rank(place: RankPlace) -> str:
    held = f", {format_gib(place.planned_bytes)} planned" if place.planned_bytes is not None else ""
    where = f"{place.node_name} GPU {place.gpu_index}"
    return f"replica {place.replica} stage {place.stage} rank {place.rank}  {where}{held}"


def _verdict_lines(verdict: NodeVerdict) -> Iterator[str]:
    if verdict.problems:
        yield from verdict.problems
        return
    packages = ", ".join(f"{name} {version}" for name, version in verdict.packages.items())
    python = f": Python {verdict.python_version} ({verdict.python}), {packages}" if verdict.python else ""
    engine = f"; engine {verdict.engine} ({verdict.engine_python})" if verdict.engine else ""
    yield f"node {verdict.node}: {verdict.state}{python}{engine}"
