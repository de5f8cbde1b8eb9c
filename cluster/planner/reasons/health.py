"""What health changed in a plan: the degraded GPUs it uses and why, and every GPU that is not sound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from cluster.inventory import Cluster, Gpu, Node
from cluster.planner.placement.condition import Condition
from cluster.planner.placement.degraded import DegradedUse
from cluster.planner.result import Candidate, Plan
from cluster.planner.search.context import Context
from cluster.units import count_of

Standing = Literal["degraded", "unhealthy", "excluded"]


@dataclass(frozen=True, slots=True)
class GpuStanding:
    """A GPU that is not sound, and what the plan does with it."""

    node: Node
    gpu: Gpu
    standing: Standing
    reasons: tuple[str, ...]
    replica: int | None = None
    """The recommended layout's replica that uses it."""

    @property
    def use(self) -> str:
        """'replica 0', 'not used', or 'left out' where no plan may use it."""
        if self.replica is not None:
            return f"replica {self.replica}"
        return "not used" if self.standing == "degraded" else "left out"


def with_health_note(context: Context, candidate: Candidate) -> Candidate:
    """Return the candidate with a note on the degraded GPUs that it uses; unchanged if it uses none."""
    use = candidate.degraded
    if not use.num_gpus:
        return candidate
    verb = "is" if use.num_gpus == 1 else "are"
    note = (
        f"{use.num_gpus:,} of its {count_of(candidate.layout.gpus, 'GPU')} {verb} degraded, "
        f"because {_why_not_sound(context, candidate)}: {_named(use)}"
    )
    cost = _cost(use.condition)
    notes = (note, cost) if cost else (note,)
    return replace(candidate, notes=(*notes, *candidate.notes))


def _why_not_sound(context: Context, candidate: Candidate) -> str:
    survey, layout = context.survey, candidate.layout
    sound = survey.num_usable_gpus - survey.num_degraded
    if not sound:
        return "no usable GPU is healthy"
    verb = "is" if sound == 1 else "are"
    only = f"only {sound:,} of the {survey.num_usable_gpus:,} usable GPUs {verb} healthy"
    if sound < candidate.form.gpus:
        return f"a replica needs {candidate.form.gpus} and {only}"
    if sound < layout.gpus:
        return f"{only}, and the others add throughput" if layout.num_replicas > 1 else only
    return "the healthy ones do not have the memory or the links that it needs"


def _named(use: DegradedUse) -> str:
    parts = [f"{node} GPU {index} ({wrong})" for node, index, wrong in use.named]
    more = use.num_gpus - len(parts)
    return ", ".join(parts) + (f" and {more:,} more" if more else "")


def _cost(condition: Condition) -> str:
    """Return which rates the estimate counts less of; '' if these GPUs lost none."""
    shares = (
        ("compute", condition.compute),
        ("memory", condition.memory),
        ("NVLink", condition.nvlink),
        ("PCIe", condition.pcie),
    )
    less = [f"{_percent(share)} of the {name} rate" for name, share in shares if share < 1]
    if not less:
        return ""
    listed = ", ".join(less[:-1]) + (" and " if less[:-1] else "") + less[-1]
    return f"replicas with degraded GPUs are timed at their slowest GPU: down to {listed}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def standings(plan: Plan) -> tuple[GpuStanding, ...]:
    """Return every GPU that is degraded, unhealthy or excluded, in the cluster's order."""
    found = list(_not_sound(plan.cluster))
    if not found:
        return ()
    replicas = _replicas_of(plan.recommended) if any(one.standing == "degraded" for one in found) else {}
    return tuple(replace(one, replica=replicas.get((one.node.node_id, one.gpu.uuid))) for one in found)


def count_standings(plan: Plan) -> dict[str, int]:
    """Return how many GPUs are healthy, degraded, unhealthy, excluded, and judged by nobody."""
    gpus = [gpu for node in plan.cluster.nodes for gpu in node.gpus]
    counts = Counter(_standing(gpu) or ("not_judged" if gpu.health is None else "healthy") for gpu in gpus)
    return {name: counts[name] for name in ("healthy", "degraded", "unhealthy", "excluded", "not_judged")}


def _replicas_of(candidate: Candidate | None) -> dict[tuple[str, str], int]:
    if candidate is None or not candidate.degraded.num_gpus:
        return {}
    return {(place.node, place.gpu_uuid): place.replica for place in candidate.placement}


def _not_sound(cluster: Cluster) -> Iterator[GpuStanding]:
    for node in cluster.nodes:
        for gpu in node.gpus:
            standing = _standing(gpu)
            if standing is not None:
                yield GpuStanding(node, gpu, standing, tuple(_reasons(gpu, standing)))


def _standing(gpu: Gpu) -> Standing | None:
    if gpu.unhealthy_reason is not None:
        return "unhealthy"
    if gpu.excluded_reason is not None:
        return "excluded"
    return "degraded" if gpu.health is not None and gpu.health.state == "degraded" else None


def _reasons(gpu: Gpu, standing: Standing) -> Iterator[str]:
    wrong = [finding.text for finding in gpu.health.findings] if gpu.health else []
    first = {"unhealthy": gpu.unhealthy_reason, "excluded": gpu.excluded_reason, "degraded": None}[standing]
    if first is not None:
        yield first
    yield from (text for text in wrong if text != first)
