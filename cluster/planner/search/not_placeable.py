"""Why no replica of a form can be placed on the cluster's GPUs."""

from __future__ import annotations

from collections import Counter

from cluster.planner.placement.form import Form
from cluster.planner.placement.joined import counts_by_type
from cluster.planner.placement.machines import MachineShape, Survey
from cluster.planner.result import Rejection
from cluster.planner.rule import Rule
from cluster.planner.search.context import Context
from cluster.units import count_of


def absent_rejection(context: Context, form: Form) -> Rejection:
    """Return why not even one replica of this form can be placed."""
    survey, label = context.survey, form.layout().label
    widest = survey.largest_domain
    if survey.num_usable_gpus >= form.gpus > sum(counts_by_type(survey).values()):
        return _slices(label)
    if form.group_gpus > widest and survey.num_usable_gpus >= form.group_gpus:
        return _group_too_wide(context, form, label)
    have, need = survey.num_usable_gpus, form.gpus
    if have >= need:
        return _no_such_groups(survey, form, label)
    out = survey.left_out
    if have + len(out) >= need:
        first = out[0]
        return Rejection(
            first.rule,
            f"{label} needs {need} GPUs, {have} usable: {first.node_name} GPU {first.gpu_index} "
            f"is excluded ({first.reason})" + (f", and {len(out) - 1} more" if len(out) > 1 else ""),
        )
    return Rejection(Rule.NOT_ENOUGH_GPUS, f"{label} needs {need} GPUs, {have} available")


def _group_too_wide(context: Context, form: Form, label: str) -> Rejection:
    survey = context.survey
    widest, tp = survey.largest_domain, form.group_gpus
    if context.request.tp == form.tp:
        return _cannot_be_joined(survey, form, label)
    per_machine = [_machine_counts(shape) for shape in survey.shapes]
    if any(count >= tp for counts in per_machine for count in counts.values()):
        return Rejection(
            Rule.CROSSES_ISLAND,
            f"{label} would span NVLink islands; the largest island has {count_of(widest, 'GPU')}",
        )
    if any(sum(counts.values()) >= tp for counts in per_machine):
        return Rejection(
            Rule.MIXED_GPUS,
            f"{label} would mix GPU types in one group; the largest single-type group in a node has {widest}",
        )
    return Rejection(
        Rule.CROSSES_NODE,
        f"{label} would all-reduce across nodes at every layer; "
        f"the largest group inside one node has {count_of(widest, 'GPU')}",
    )


def _cannot_be_joined(survey: Survey, form: Form, label: str) -> Rejection:
    """Return why a pinned group does not fit even across islands and nodes."""
    counts = counts_by_type(survey)
    there = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    if sum(counts.values()) >= form.group_gpus:
        message = f"{label} would mix GPU types in one group; the cluster has {there}"
        return Rejection(Rule.MIXED_GPUS, message)
    return _slices(label)


def _slices(label: str) -> Rejection:
    message = f"{label} needs several GPUs in one group, and MIG slices cannot be grouped"
    return Rejection(Rule.CROSSES_ISLAND, message)


def _no_such_groups(survey: Survey, form: Form, label: str) -> Rejection:
    """There are enough GPUs, but not enough groups of the size that one stage needs."""
    size = form.group_gpus
    there = sum(
        len(domain.slots) // size * len(shape.machines) for shape in survey.shapes for domain in shape.domains
    )
    if len(counts_by_type(survey)) > 1:
        rule, where = Rule.MIXED_GPUS, " of one type"
    else:
        rule, where = (Rule.CROSSES_ISLAND if survey.num_nodes == 1 else Rule.CROSSES_NODE), ""
    return Rejection(
        rule,
        f"{label} needs {count_of(form.num_groups, 'group')} of {count_of(size, 'GPU')}{where} in one node; "
        f"the {survey.num_usable_gpus} usable GPUs form {there}",
    )


def _machine_counts(shape: MachineShape) -> Counter[tuple[str, int]]:
    counts: Counter[tuple[str, int]] = Counter()
    for domain in shape.domains:
        if domain.pool.link != "none":
            counts[domain.pool.spec.type, domain.pool.total_bytes] += len(domain.slots)
    return counts
