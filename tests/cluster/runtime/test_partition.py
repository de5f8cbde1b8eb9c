"""Every layout splits every weight completely and without overlap, with something for each rank."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cluster.errors import BadInput
from cluster.runtime.config import ModelConfig, read_model_config
from cluster.runtime.partition import RankPart, Span, rank_part, split_evenly


def model(**fields: Any) -> ModelConfig:
    base = {"architectures": ["LlamaForCausalLM"], "hidden_size": 64, "intermediate_size": 4096}
    base |= {"num_hidden_layers": 4, "num_attention_heads": 32, "vocab_size": 1000}
    return read_model_config(base | fields)


def parts(config: ModelConfig, tp: int) -> list[RankPart]:
    return [rank_part(config, tp=tp, pp=1, tp_rank=rank, stage=0) for rank in range(tp)]


def test_4096_columns_over_three_ranks() -> None:
    spans = [part.intermediate for part in parts(model(), 3)]
    assert [(span.first, span.end - 1) for span in spans] == [(0, 1365), (1366, 2730), (2731, 4095)]


def test_32_heads_over_three_ranks() -> None:
    assert [part.heads.size for part in parts(model(), 3)] == [11, 11, 10]
    # With four query heads per KV head, groups stay together.
    assert [part.heads.size for part in parts(model(num_key_value_heads=8), 3)] == [12, 12, 8]


def test_fewer_kv_heads_than_ranks() -> None:
    eight = parts(model(num_key_value_heads=2), 8)
    assert [part.kv_heads.first for part in eight] == [0] * 4 + [1] * 4
    assert [part.heads.size for part in eight] == [4] * 8
    three = parts(model(num_key_value_heads=2), 3)
    assert [part.kv_heads for part in three] == [Span(0, 1), Span(0, 1), Span(1, 2)]
    assert [part.heads.size for part in three] == [8, 8, 16]


@pytest.mark.parametrize(("tp", "pp", "what"), [(33, 1, "32 attention heads"), (1, 5, "4 layers")])
def test_a_rank_with_nothing_is_refused(tp: int, pp: int, what: str) -> None:
    with pytest.raises(BadInput, match=what):
        rank_part(model(), tp=tp, pp=pp, tp_rank=0, stage=0)


@given(st.integers(1, 12), st.integers(1, 8), st.integers(1, 40), st.integers(12, 500), st.integers(1, 500))
def test_parts_cover_everything_once(
    kv_heads: int, group: int, tp: int, intermediate: int, vocab: int
) -> None:
    assume(tp <= min(kv_heads * group, intermediate))
    config = model(
        num_attention_heads=kv_heads * group,
        num_key_value_heads=kv_heads,
        head_dim=4,
        intermediate_size=intermediate,
        vocab_size=vocab,
    )
    ranks = parts(config, tp)
    assert_covers([part.heads for part in ranks], config.num_heads)
    assert_covers([part.intermediate for part in ranks], intermediate)
    assert ranks[-1].vocab.end >= vocab
    for part in ranks:
        assert part.vocab.size == ranks[0].vocab.size
        for offset in range(part.heads.size):
            # The engine pairs local query head i with local KV head i // group_size.
            kv_head = part.kv_heads.first + offset // part.group_size
            assert kv_head == (part.heads.first + offset) // config.group_size


@given(st.integers(1, 10_000), st.integers(1, 64))
def test_even_splits_differ_by_at_most_one(total: int, num_parts: int) -> None:
    spans = [split_evenly(total, num_parts, index) for index in range(num_parts)]
    assert max(span.size for span in spans) - min(span.size for span in spans) <= 1
    if num_parts <= total:
        assert_covers(spans, total)


def assert_covers(spans: list[Span], total: int) -> None:
    assert spans[0].first == 0
    assert spans[-1].end == total
    assert all(left.end == right.first for left, right in pairwise(spans))
    assert all(span.size >= 1 for span in spans)
