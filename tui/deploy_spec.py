"""From a layout on screen to the deployment spec that is sent to the cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cluster.deploy.spec import DeploymentSpec
from cluster.planner.result import Candidate, Plan


@dataclass(frozen=True, slots=True)
class OrderContext:
    """What a deployment spec needs beside the layout."""

    model_path: str | None
    """Folder or file of the model; None for a catalogue name or hub id."""
    simulated: bool
    taken_names: tuple[str, ...]
    """Names of deployments that exist."""


SpecFunction = Callable[[Plan, Candidate, OrderContext], DeploymentSpec]
"""Makes the spec of a layout. Reads files, so it is called in a worker thread."""


def spec_with_scale(plan: Plan, candidate: Candidate, context: OrderContext) -> DeploymentSpec:
    """Make the spec of a layout; on a simulated cluster the model is scaled down."""
    from cluster.deploy.api_keys import hashed_keys
    from cluster.deploy.make_spec import spec_from

    return spec_from(
        plan,
        candidate,
        model_path=context.model_path,
        simulated=context.simulated,
        taken=context.taken_names,
        api_key_sha256=hashed_keys(),
    )


def model_path(model_name: str) -> str | None:
    """Return the local path that a model's name stands for; None for a catalogue name or hub id."""
    from cluster.deploy.model_choice import path_named

    return path_named(model_name)
