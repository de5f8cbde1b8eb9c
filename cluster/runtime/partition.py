"""Which heads, columns, vocabulary rows and layers a rank holds. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.errors import BadInput
from cluster.runtime.config import ModelConfig


@dataclass(frozen=True, slots=True)
class Span:
    """The half-open range [first, end)."""

    first: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.first

    def scaled(self, factor: int) -> Span:
        """Return the span in units `factor` times smaller (heads to columns)."""
        return Span(self.first * factor, self.end * factor)


@dataclass(frozen=True, slots=True)
class RankPart:
    """What one rank of a TP x PP grid holds. Its query heads form `kv_heads.size` equal groups."""

    tp: int
    tp_rank: int
    stage: int
    layers: Span
    heads: Span
    kv_heads: Span
    intermediate: Span
    vocab: Span
    """Rows of embedding and head. Every rank has the same number, so the last ranks may have padding rows."""
    is_first_stage: bool
    is_last_stage: bool

    @property
    def group_size(self) -> int:
        """Query heads of this rank per KV head of this rank."""
        return self.heads.size // self.kv_heads.size


def split_evenly(total: int, parts: int, index: int) -> Span:
    """Return part `index` of `total` in `parts` contiguous parts whose sizes differ by at most one.

    The larger parts come first: 4096 over 3 is 0-1365, 1366-2730, 2731-4095.
    """
    size, extra = divmod(total, parts)
    first = index * size + min(index, extra)
    return Span(first, first + size + (1 if index < extra else 0))


def rank_part(
    config: ModelConfig,
    *,
    tp: int,
    pp: int,
    tp_rank: int,
    stage: int,
    layers: tuple[int, int] | None = None,
) -> RankPart:
    """Return what rank `tp_rank` of `stage` holds; BadInput if some rank would hold nothing.

    `layers` is this stage's half-open range of layers, given when the plan splits them unevenly.
    """
    check_degrees(config, tp=tp, pp=pp)
    if layers is not None and not 0 <= layers[0] < layers[1] <= config.num_layers:
        raise BadInput(
            f"Stage {stage} is given layers {layers[0]} to {layers[1]}, but the model has {config.num_layers}"
        )
    heads, kv_heads = _attention_spans(config, tp, tp_rank)
    vocab_rows = -(-config.vocab_size // tp)
    return RankPart(
        tp=tp,
        tp_rank=tp_rank,
        stage=stage,
        layers=Span(*layers) if layers else split_evenly(config.num_layers, pp, stage),
        heads=heads,
        kv_heads=kv_heads,
        intermediate=split_evenly(config.intermediate_size, tp, tp_rank),
        vocab=Span(tp_rank * vocab_rows, (tp_rank + 1) * vocab_rows),
        is_first_stage=stage == 0,
        is_last_stage=stage == pp - 1,
    )


def check_degrees(config: ModelConfig, *, tp: int, pp: int) -> None:
    """Raise BadInput unless every rank gets at least one head, column and layer."""
    for name, count in (("attention heads", config.num_heads), ("MLP columns", config.intermediate_size)):
        if tp > count:
            raise BadInput(f"TP={tp} exceeds the model's {count} {name}", f"Use TP={count} at most")
    if pp > config.num_layers:
        raise BadInput(
            f"PP={pp} exceeds the model's {config.num_layers} layers", f"Use PP={config.num_layers} at most"
        )


def _attention_spans(config: ModelConfig, tp: int, tp_rank: int) -> tuple[Span, Span]:
    """Split query heads so that each rank gets whole groups, or heads of a single group.

    With fewer KV heads than ranks, each KV head is replicated on the ranks that share its query heads.
    """
    num_kv, group = config.num_kv_heads, config.group_size
    if tp <= num_kv:
        kv_heads = split_evenly(num_kv, tp, tp_rank)
        return kv_heads.scaled(group), kv_heads
    kv_head = next(head for head in range(num_kv) if tp_rank < split_evenly(tp, num_kv, head).end)
    sharers = split_evenly(tp, num_kv, kv_head)
    within = split_evenly(group, sharers.size, tp_rank - sharers.first)
    first = kv_head * group
    return Span(first + within.first, first + within.end), Span(kv_head, kv_head + 1)
