"""The two pictures of parallelism, drawn with a layout's own GPUs, columns and all-reduces. Pure text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import takewhile

from rich.style import Style
from rich.text import Text

from cluster.catalog.model_spec import ModelSpec
from cluster.planner.layout import Placement
from cluster.planner.reasons.describe import column_ranges
from cluster.planner.result import Candidate
from cluster.units import count_of
from tui.format import fit, span
from tui.styles import Styles

_BOX = 24
_GAP = 2
_SHARED_EXPERTS = "Every MoE layer sends tokens to their experts and back: these ranks form one engine."


def replica_places(candidate: Candidate, most: int) -> dict[int, list[Placement]]:
    """Group the placement of the first `most` replicas by replica."""
    groups: dict[int, list[Placement]] = {
        replica: [] for replica in range(min(most, candidate.layout.num_replicas))
    }
    # Ranks are ordered by replica, and there may be thousands of them.
    for place in takewhile(lambda place: place.replica < most, candidate.placement):
        groups[place.replica].append(place)
    return groups


def attention_places(candidate: Candidate) -> dict[int, list[Placement]]:
    """Group the first replica's placement by data-parallel attention rank."""
    groups: dict[int, list[Placement]] = defaultdict(list)
    for place in takewhile(lambda place: place.replica == 0, candidate.placement):
        groups[place.rank // candidate.layout.tp].append(place)
    return groups


def data_parallel_picture(candidate: Candidate, width: int, styles: Styles) -> Text:
    """Draw a router over independent replicas, or over the attention ranks of a replica."""
    shared = candidate.layout.dp_attention
    most = max(1, (width - 6) // (_BOX + _GAP))
    groups = attention_places(candidate) if shared else replica_places(candidate, most)
    count = len(groups) if shared else candidate.layout.num_replicas
    unit, letter = ("attention rank", "A") if shared else ("replica", "R")
    shown = list(groups)[:most]
    boxes = [
        (
            f"{letter}{replica}",
            *_holding(candidate),
            _where(groups[replica]),
            f"requests {replica + 1:,}, {replica + 1 + count:,}, {replica + 1 + 2 * count:,} ...",
        )
        for replica in shown
    ]
    text = Text()
    total = len(shown) * (_BOX + _GAP) - _GAP
    text.append(f"router: each request goes to one {unit}".center(total).rstrip() + "\n", styles.plain)
    text.append(_forks(len(shown)) + "\n", styles.faint)
    text.append_text(_boxes(boxes, [styles.replica(replica) for replica in shown], styles))
    if count > len(shown):
        text.append(f"and {count_of(count - len(shown), unit)} more\n", styles.muted)
    if shared and candidate.layout.num_replicas > 1:
        text.append(f"replica 0 of {candidate.layout.num_replicas}\n", styles.muted)
    text.append(_SHARED_EXPERTS if shared else "No communication between replicas.", styles.muted)
    return text


def tensor_parallel_picture(candidate: Candidate, model: ModelSpec, width: int, styles: Styles) -> Text:
    """Draw one layer split over the ranks of the first replica, and the all-reduces that join them."""
    layout = candidate.layout
    first = list(takewhile(lambda place: place.replica == place.stage == 0, candidate.placement))
    ranges = column_ranges(model.hidden_size, layout.tp)
    shown = list(range(layout.tp))[: max(1, (width - 6) // (_BOX + _GAP))]
    boxes = []
    for rank in shown:
        place = first[rank] if rank < len(first) else None
        columns = f"columns {span(*ranges[rank], model.hidden_size)}"
        heads = f"{model.num_attention_heads / layout.tp:g} of {model.num_attention_heads} heads"
        boxes.append((f"rank T{rank}", columns, heads, _place(place)))
    total = len(shown) * (_BOX + _GAP) - _GAP
    text = Text()
    text.append("one request: every layer runs on all ranks".center(total).rstrip() + "\n", styles.plain)
    text.append(_forks(len(shown)) + "\n", styles.faint)
    text.append_text(_boxes(boxes, [styles.replica(0)] * len(shown), styles))
    text.append(
        "  ╰" + " all-reduce after attention, all-reduce after the MLP ".center(total - 6, "─") + "╯\n",
        styles.warning,
    )
    if layout.tp > len(shown):
        text.append(f"and {count_of(layout.tp - len(shown), 'rank')} more\n", styles.muted)
    estimate = candidate.estimate
    # An estimate for ranks that run in another way counts other collectives than the ones drawn here.
    drawn = estimate if estimate and estimate.runs_as is None else None
    reduces = drawn.all_reduces_per_token if drawn else 2 * model.num_layers
    text.append(f"{count_of(model.num_layers, 'layer')}: {reduces:,} all-reduces per token.", styles.muted)
    return text


def _forks(count: int) -> str:
    centres = [_BOX // 2 + index * (_BOX + _GAP) for index in range(count)]
    if count == 1:
        return " " * centres[0] + "│"
    line = [" "] * (centres[-1] + 1)
    for position in range(centres[0], centres[-1] + 1):
        line[position] = "─"
    for position in centres:
        line[position] = "┬"
    line[centres[0]], line[centres[-1]] = "┌", "┐"
    return "".join(line)


def _boxes(boxes: Sequence[tuple[str, ...]], label_styles: Sequence[Style], styles: Styles) -> Text:
    inner = _BOX - 4
    text = Text()
    gap = " " * _GAP
    text.append(gap.join("╭" + "─" * (_BOX - 2) + "╮" for _ in boxes) + "\n", styles.faint)
    for row in range(max(len(box) for box in boxes)):
        for number, box in enumerate(boxes):
            text.append(gap if number else "")
            text.append("│ ", styles.faint)
            text.append(fit(box[row], inner), label_styles[number] if row == 0 else styles.plain)
            text.append(" │", styles.faint)
        text.append("\n")
    text.append(gap.join("╰" + "─" * (_BOX - 2) + "╯" for _ in boxes) + "\n", styles.faint)
    return text


def _holding(candidate: Candidate) -> tuple[str, str]:
    """Describe what one data-parallel rank holds."""
    layout = candidate.layout
    if layout.dp_attention:
        return "attention (copy)", f"1/{layout.ep} of the experts"
    gpus = layout.tp * layout.pp
    return "full model (copy)", "on 1 GPU" if gpus == 1 else f"split over {count_of(gpus, 'GPU')}"


def _place(place: Placement | None) -> str:
    return f"{place.node_name} GPU {place.gpu_index}" if place is not None else ""


def _where(places: Sequence[Placement]) -> str:
    nodes = {place.node_name for place in places}
    if len(nodes) == 1:
        return f"{places[0].node_name} GPU {_spans([place.gpu_index for place in places])}"
    return f"{count_of(len(places), 'GPU')}, {count_of(len(nodes), 'node')}"


def _spans(numbers: Sequence[int]) -> str:
    ordered = sorted(numbers)
    if len(ordered) > 2 and ordered[-1] - ordered[0] == len(ordered) - 1:
        return f"{ordered[0]}–{ordered[-1]}"
    return " ".join(str(number) for number in ordered)
