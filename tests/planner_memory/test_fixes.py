"""Every mend that a refusal names is itself valid."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.catalog.engine_catalog import load_engine
from cluster.planner.layout import Layout
from cluster.planner.request import PlanRequest
from cluster.planner.rules import layout_rejections
from tests.planner_memory.specs import AWQ, BF16, FP8_BLOCK, attention, dense_layer, expert_layer, model

VLLM = load_engine("vllm")


@settings(max_examples=150, deadline=None)
@given(
    heads=st.integers(1, 128),
    group=st.sampled_from([1, 2, 4, 8]),
    width=st.integers(1, 300).map(lambda n: 64 * n),
    vocab=st.integers(1000, 300000),
    weight=st.sampled_from([BF16, AWQ, FP8_BLOCK]),
    experts=st.sampled_from([0, 8, 60, 128]),
    tp=st.integers(2, 16),
)
def test_named_degrees_hold(
    heads: int,
    group: int,
    width: int,
    vocab: int,
    weight,
    experts: int,
    tp: int,  # type: ignore[no-untyped-def]
) -> None:
    mixer = attention(heads, max(1, heads // group), 128)
    layer = (
        expert_layer(2048, mixer, width, experts, weight)
        if experts
        else dense_layer(2048, mixer, width, weight)
    )
    spec = model((layer,) * 32, 2048, vocab)
    for rejection in layout_rejections(spec, Layout(tp=tp), None, VLLM, PlanRequest()):
        assert rejection.message and rejection.fix
        for found in re.finditer(r"(?<!\()TP=(\d+)(?: x PP=(\d+))?", rejection.fix):
            mended = Layout(tp=int(found[1]), pp=int(found[2] or 1))
            assert mended.gpus <= tp
            assert layout_rejections(spec, mended, None, VLLM, PlanRequest()) == ()
