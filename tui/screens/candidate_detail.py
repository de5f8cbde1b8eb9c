"""Everything about one layout: why, memory by part and stage, what each rank holds, where, how fast."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from cluster.catalog.model_spec import ModelSpec
from cluster.planner.layout import Layout
from cluster.planner.reasons.describe import column_ranges, describe_traffic
from cluster.planner.result import Candidate, Estimate, Plan, RankMemory
from cluster.units import count_of
from tui.diagrams import replica_places
from tui.format import duration_band, fit, gib, span, throughput_band
from tui.glyphs import FREE, USED
from tui.screens.page import Page
from tui.styles import Styles
from tui.widgets.candidate_note import rejected_note

_BAR_CELLS = 32
_MAX_RANKS = 16


class CandidateDetail(Page):
    """One layout in full."""

    def __init__(self, plan: Plan, candidate: Candidate) -> None:
        super().__init__(f"{candidate.label}  {plan.model.name}")
        self._plan, self._candidate = plan, candidate

    def draw(self, styles: Styles, width: int) -> RenderableType:
        candidate = self._candidate
        parts: list[RenderableType] = []
        if candidate.rejections:
            parts.append(rejected_note(candidate, styles))
        elif candidate.why:
            parts.append(Text(candidate.why, styles.plain))
        if candidate.estimate is not None:
            parts.extend(_speed(candidate, styles))
        for stage, memory in enumerate(_memories(candidate)):
            parts.append(_memory(candidate, stage, memory, styles))
        parts.append(_holdings(candidate, self._plan.model, styles))
        if candidate.placement:
            parts.append(_places(candidate, styles))
        parts.extend(Text(note, styles.muted) for note in candidate.notes)
        return Group(*parts)


def _titled(title: str, styles: Styles) -> Text:
    return Text().append(f"{title}\n", styles.title)


def _traffic(layout: Layout, estimate: Estimate) -> tuple[str, str]:
    """Name the traffic between ranks, and describe how much there is."""
    layout = estimate.runs_as or layout
    if layout.dp_attention:
        return "communication", describe_traffic(layout, estimate, "of the time")
    if estimate.all_reduces_per_token:
        share = f"{estimate.all_reduce_share:.0%} of the time"
        return "all-reduces", f"{estimate.all_reduces_per_token:,} per token, {share}"
    if layout.pp > 1:
        return "all-reduces", f"none; {count_of(layout.pp - 1, 'hop')} between stages"
    return "all-reduces", "none (no communication between GPUs)"


def _memories(candidate: Candidate) -> tuple[RankMemory, ...]:
    if candidate.memory_by_stage:
        return candidate.memory_by_stage
    return (candidate.memory_per_gpu,) if candidate.memory_per_gpu is not None else ()


def _speed(candidate: Candidate, styles: Styles) -> list[RenderableType]:
    estimate = candidate.estimate
    assert estimate is not None
    rows = (
        ("throughput", throughput_band(estimate.throughput_tokens_per_s)),
        ("TTFT", duration_band(estimate.ttft_s)),
        ("per token (TPOT)", duration_band(estimate.tpot_s)),
        _traffic(candidate.layout, estimate),
        ("batch", f"{estimate.batch:,} sequences per replica"),
        ("limited by", str(estimate.bottleneck)),
    )
    text = _titled("\nEstimated speed (with range)", styles)
    for name, value in rows:
        text.append(f"{name:<18}", styles.muted).append(f"{value}\n", styles.plain)
    return [text]


def _memory(candidate: Candidate, stage: int, memory: RankMemory, styles: Styles) -> Text:
    """Draw a stage's memory, one bar per part, all to the scale of the budget."""
    text = Text()
    ranges = {item.stage: item for item in candidate.stages}
    layers = ranges.get(stage)
    where = f", stage {stage}" if candidate.layout.pp > 1 else ""
    if layers is not None and candidate.layout.pp > 1:
        where += f" (layers {layers.first}–{layers.end - 1})"
    text.append(f"Memory per GPU{where}\n", styles.title)
    parts = (
        ("weights", memory.weights_bytes),
        ("KV cache", memory.kv_cache_bytes),
        ("activations", memory.activation_bytes),
        ("CUDA graphs", memory.cuda_graph_bytes),
        ("other", memory.non_torch_bytes),
    )
    scale = max(memory.budget_bytes, memory.total_bytes, 1)
    for name, size in parts:
        cells = min(_BAR_CELLS, max(1 if size else 0, round(size / scale * _BAR_CELLS)))
        text.append(f"{name:<18}", styles.muted).append(USED * cells, styles.planned)
        text.append(FREE * (_BAR_CELLS - cells), styles.free)
        text.append(f"{gib(size):>8} GiB\n", styles.plain)
    text.append(f"{'total':<18}", styles.muted).append(" " * _BAR_CELLS)
    text.append(f"{gib(memory.total_bytes):>8}", styles.strong)
    text.append(f" of {gib(memory.budget_bytes)} GiB\n", styles.muted)
    return text


def _holdings(candidate: Candidate, model: ModelSpec, styles: Styles) -> Text:
    """Draw which columns and heads each tensor rank holds."""
    tp = candidate.layout.tp
    text = _titled("What each rank holds", styles)
    if tp == 1:
        return text.append("A full copy: all columns and heads of its layers.\n", styles.plain)
    ranges = column_ranges(model.hidden_size, tp)
    heads = column_ranges(model.num_attention_heads, tp)
    for rank in range(min(tp, _MAX_RANKS)):
        text.append(fit(f"T{rank}", 6), styles.replica(0))
        text.append(f"columns {span(*ranges[rank], model.hidden_size)}".ljust(24), styles.plain)
        text.append(f"heads {heads[rank][0]}–{heads[rank][1]}".ljust(16), styles.plain)
        text.append(f"{_kv_heads(model, tp)}\n", styles.muted)
    return text


def _kv_heads(model: ModelSpec, tp: int) -> str:
    if model.num_kv_heads == 0:
        return ""
    if model.num_kv_heads >= tp:
        return f"{model.num_kv_heads / tp:g} of {model.num_kv_heads} KV heads"
    return f"1 of {model.num_kv_heads} KV heads, replicated (more ranks than heads)"


def _places(candidate: Candidate, styles: Styles) -> Text:
    text = _titled("Placement", styles)
    for replica, places in replica_places(candidate, _MAX_RANKS).items():
        text.append(fit(f"R{replica}", 6), styles.replica(replica))
        by_node: dict[str, list[str]] = {}
        for place in places:
            by_node.setdefault(place.node_name, []).append(str(place.gpu_index))
        text.append(
            "   ".join(f"{node} GPU {' '.join(gpus)}" for node, gpus in by_node.items()), styles.plain
        )
        text.append("\n")
    return text
