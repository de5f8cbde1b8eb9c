"""The servers of a layout: how an engine that runs as processes is started, and on which nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice

from cluster.catalog.engine_version import is_cpu_build
from cluster.deploy.order.engine import check_installed
from cluster.deploy.spec import ModelSource
from cluster.engines.adapter import load_adapter
from cluster.engines.from_plan import server_launch
from cluster.engines.launch import Device, Member, ServerLaunch
from cluster.engines.members import members_of
from cluster.errors import BadInput
from cluster.planner.layout import Placement
from cluster.planner.result import Candidate, Plan

_CHECKED_UP_FRONT = 16
"""Replicas of a layout are much alike: the first ones show most refusals. An order checks all."""


@dataclass(frozen=True, slots=True)
class Server:
    """What every replica of a layout starts."""

    launch: ServerLaunch
    model: ModelSource


def server_for(
    plan: Plan, candidate: Candidate, extra_args: tuple[str, ...] = (), *, at_a_glance: bool = False
) -> Server:
    """Return the servers of a layout; raises BadInput for what the installed engine cannot run.

    `at_a_glance` checks the first replicas only: a screen asks at each move of its cursor.
    """
    check_installed(plan, candidate)
    source = _source(plan)
    device: Device = "cpu" if is_cpu_build(plan.engine_version) else "cuda"
    launch = server_launch(plan, candidate, device=device, extra_args=extra_args)
    try:
        _check_members(plan, candidate, launch, _CHECKED_UP_FRONT if at_a_glance else None)
    except BadInput as error:
        raise BadInput(f"{candidate.label}: {error.message}", error.hint) from None
    return Server(launch, source)


def _check_members(plan: Plan, candidate: Candidate, launch: ServerLaunch, most: int | None) -> None:
    adapter = load_adapter(plan.engine_name)
    for places in islice(replicas_of(candidate.placement), most):
        refused = adapter.refusal(launch, members_of(places, launch), plan.engine_version)
        if refused:
            raise BadInput(refused, "Choose another layout, or leave that option out")


def replicas_of(placement: Iterable[Placement]) -> Iterator[list[Placement]]:
    """Yield the places of each replica in turn; those that are not consumed are not placed."""
    for _, places in groupby(placement, key=lambda place: place.replica):
        yield list(places)


def replica_members(
    placement: Iterable[Placement], launch: ServerLaunch
) -> list[tuple[tuple[Member, Placement], ...]]:
    """Return the members of each replica, each with its first rank: the node that it runs on."""
    found = []
    for places in replicas_of(placement):
        ordered = sorted(places, key=lambda place: (place.stage, place.rank))
        first = {place.node: place for place in reversed(ordered)}
        nodes = sorted(first.values(), key=lambda place: (place.stage, place.rank))
        found.append(tuple(zip(members_of(places, launch), nodes, strict=True)))
    return found


def _source(plan: Plan) -> ModelSource:
    """Return what the servers load: a folder, the nodes' hub caches, or random weights where requested."""
    origin, name = plan.model.origin, plan.model.name
    if origin is None:
        raise BadInput(f"{name} has no known source", "Load it by name, folder or file")
    if origin.folder is None and origin.hub_id is None:
        raise BadInput(
            f"{origin.config_file or name} has a config but no weights and no tokenizer",
            f"Name a folder with config.json and tokenizer: {plan.engine_name} reads both on each node",
        )
    if plan.request.load_format == "dummy":
        return ModelSource(name=name, config=dict(origin.config))
    return ModelSource(name=name, path=origin.folder, hub_id=origin.hub_id, config=dict(origin.config))
