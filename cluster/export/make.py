"""From a layout of a plan to a file in one format. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cluster.catalog.engine_version import is_cpu_build
from cluster.engines.from_plan import server_launch
from cluster.engines.launch import Device
from cluster.errors import BadInput
from cluster.export.format import ExportFormat
from cluster.export.target import make_target
from cluster.planner.request import PlanRequest
from cluster.planner.result import Candidate, Plan
from cluster.text import clean


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A text, and the name that its file should have."""

    name: str
    text: str


def request_for(format: ExportFormat, request: PlanRequest) -> PlanRequest:
    """Return the request as a plan for this format asks it: for the engine that the format starts.

    A version that the user gave holds for that engine only; without one it is the format's, if it has one.
    """
    version = request.engine_version if request.engine == format.engine else None
    return replace(request, engine=format.engine, engine_version=version or format.engine_version)


def is_planned_for(format: ExportFormat, plan: Plan) -> bool:
    """Return whether a plan was made for what the format starts; otherwise `request_for` plans again."""
    asked = request_for(format, plan.request)
    return asked.engine == plan.engine_name and asked.engine_version in (None, plan.engine_version)


def export(plan: Plan, candidate: Candidate, format: ExportFormat) -> ExportedFile:
    """Write a layout of a plan down in a format.

    Raises BadInput for a layout that does not fit, a plan for another engine, and for what the format or
    this version of the engine cannot express: nothing of a plan is left out silently.
    """
    if plan.request.workload != "inference":
        raise BadInput(f"a plan for {plan.request.workload} cannot be exported", "Plan for inference")
    if not candidate.feasible or not candidate.placement:
        reason = candidate.rejections[0].message if candidate.rejections else "it has no placement"
        raise BadInput(f"{candidate.label} cannot be exported: {reason}", "Choose a layout that fits")
    if plan.engine_name != format.engine:
        raise BadInput(
            f"{format.name} starts {format.engine}, but the plan is for {plan.engine_name}",
            f"Plan with --engine {format.engine}",
        )
    device: Device = "cpu" if is_cpu_build(plan.engine_version) else "cuda"
    launch = server_launch(plan, candidate, device=device)
    _refuse_control_characters(launch.model)
    _refuse_control_characters(launch.served_name)
    target = make_target(plan, candidate, launch)
    return ExportedFile(f"{target.name}.{format.name}.{format.extension}", format.render(target))


def _refuse_control_characters(name: str) -> None:
    """Raise BadInput for a name that a terminal would obey or that breaks a line once it is pasted."""
    if clean(name, len(name) + 1) != name:
        raise BadInput(f"the name '{clean(name, 80)}' has control characters", "Rename the model's folder")
