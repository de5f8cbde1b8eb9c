"""Layouts that real engines refused against the rules, and layouts that ran against false refusals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cluster.planner.memory import replica_memory
from cluster.planner.result import Rejection
from cluster.planner.rule import Rule
from cluster.planner.rules import graphs_rejection, layout_rejections, memory_rejections
from tests.evidence.memory_accuracy import utilization_of
from tests.evidence.models import EvidenceModels
from tests.evidence.rows import REPORTS, Row, named_rows
from tests.evidence.setups import Setup, read_setup

RULES_OF_CATEGORY = {
    "max_len_gt_kv": {Rule.MAX_LEN_EXCEEDS_KV, Rule.NO_KV_MEMORY},
    "kv_need_gt_available": {Rule.MAX_LEN_EXCEEDS_KV, Rule.NO_KV_MEMORY},
    "oom_load": {Rule.WEIGHTS_DO_NOT_FIT},
    Rule.NO_KV_MEMORY: {Rule.NO_KV_MEMORY, Rule.WEIGHTS_DO_NOT_FIT, Rule.MAX_LEN_EXCEEDS_KV},
    Rule.DTYPE_UNSUPPORTED: {Rule.DTYPE_UNSUPPORTED, Rule.QUANTIZATION_UNSUPPORTED},
}
"""Rules that say what a category of the evidence says; any other category is a rule's own name."""


@dataclass(frozen=True, slots=True)
class RefusalAccuracy:
    """How the rules judged layouts that engines refused, and layouts that ran."""

    right: int
    wrong: list[str]
    unknown: int
    """Rows that name no model or layout."""
    refused_though_run: list[str]


def refusal_accuracy(folder: Path) -> RefusalAccuracy:
    """Judge every layout of the folder whose model and degrees are known."""
    models = EvidenceModels(folder)
    right, wrong, unknown = 0, [], 0
    for name, row in named_rows(folder, "failing_layouts*.jsonl"):
        setup = read_setup(row, models, folder)
        if setup is None:
            unknown += 1
            continue
        found = [rejection.rule for rejection in rejections(setup)]
        if RULES_OF_CATEGORY.get(row["category"], {row["category"]}) & set(found):
            right += 1
        else:
            said = ", ".join(found) or "runs"
            wrong.append(f"    {name}: {row['category']}, the planner says {said}")
    return RefusalAccuracy(right, wrong, unknown, false_refusals(folder, models))


def section(folder: Path) -> list[str]:
    """Return the lines on refusals."""
    found = refusal_accuracy(folder)
    judged = found.right + len(found.wrong)
    unknown = f"({found.unknown} rows name no known model or layout)"
    return [
        "Layouts that engines refuse",
        f"{'refused with the right rule':<44} {found.right} of {judged} {unknown}",
        *found.wrong,
        f"{'layouts known to run that are refused':<44} {len(found.refused_though_run)}",
        *found.refused_though_run,
    ]


def rejections(setup: Setup) -> tuple[Rejection, ...]:
    """Return every rule a setup breaks, memory included where the GPU is known."""
    replica, spec = setup.replica, setup.replica.ranks[0].gpu.spec
    shape = layout_rejections(replica.model, replica.layout, spec, replica.engine, setup.request)
    if shape or not setup.names_gpu:
        return shape
    memory = replica_memory(replica)
    late = (
        graphs_rejection(replica.engine, taken, rank.gpu)
        for taken, rank in zip(memory.ranks, replica.ranks, strict=True)
    )
    return memory_rejections(memory) or tuple(rejection for rejection in late if rejection)


def false_refusals(folder: Path, models: EvidenceModels) -> list[str]:
    """Return the starts that succeeded and that the planner refuses."""
    lines = []
    for name, row in named_rows(folder, "startup_logs*.jsonl", REPORTS):
        setup = read_setup(row, models, folder) if _started(row) else None
        if setup is None:
            continue
        found = rejections(setup.at_utilization(utilization_of(row)))
        if found:
            lines.append(f"    {name}: {found[0].rule}: {found[0].message}")
    return lines


def _started(row: Row) -> bool:
    fits = float(row.get("max_concurrency", 1)) >= 1 and not row.get("room_unknown")
    return fits and row.get("kv_cache_gib_per_gpu", 1) > 0 and "fails" not in str(row.get("note", ""))
