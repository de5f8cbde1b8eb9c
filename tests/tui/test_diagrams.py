"""The pictures of parallelism say what the layout does."""

from __future__ import annotations

from dataclasses import replace

from cluster.planner.layout import Layout
from tests.tui.builders import make_cluster, make_model, make_placement, make_plan
from tui.diagrams import data_parallel_picture, tensor_parallel_picture
from tui.format import role_name
from tui.styles import Styles
from tui.themes import DARK

LOOK = Styles(DARK)


def with_layout(layout: Layout):  # type: ignore[no-untyped-def]
    """Build a candidate of a layout on the recorded cluster."""
    cluster = make_cluster()
    first = make_plan(cluster).candidates[0]
    return replace(first, layout=layout, placement=make_placement(cluster, layout))


def test_every_rank_has_its_columns_and_its_gpu() -> None:
    picture = tensor_parallel_picture(with_layout(Layout(tp=4, dp=2)), make_model(), 120, LOOK).plain
    for rank, columns in enumerate(("0–2047", "2048–4095", "4096–6143", "6144–8191")):
        assert f"rank T{rank}" in picture
        assert f"columns {columns}" in picture
        assert f"node-0 GPU {rank}" in picture
    assert "80 layers: 160 all-reduces per token." in picture


def test_an_uneven_split_gives_the_first_ranks_one_column_more() -> None:
    model = replace(make_model(), hidden_size=4096)
    picture = tensor_parallel_picture(with_layout(Layout(tp=3)), model, 120, LOOK).plain
    for columns in ("0–1365", "1366–2730", "2731–4095"):
        assert columns in picture


def test_what_does_not_fit_the_width_is_counted() -> None:
    picture = tensor_parallel_picture(with_layout(Layout(tp=8)), make_model(), 60, LOOK).plain
    assert "and 6 ranks more" in picture
    assert max(map(len, picture.splitlines())) <= 60


def test_replicas_are_independent() -> None:
    picture = data_parallel_picture(with_layout(Layout(tp=4, dp=2)), 120, LOOK).plain
    assert picture.count("full model (copy)") == 2
    assert "split over 4 GPUs" in picture
    assert "requests 2, 4, 6 ..." in picture
    assert "No communication between replicas." in picture


def test_ranks_that_share_experts_are_not_called_independent() -> None:
    picture = data_parallel_picture(with_layout(Layout(dp=8, ep=8, dp_attention=True)), 240, LOOK).plain
    assert "1/8 of the experts" in picture
    assert "full model" not in picture
    assert "No communication" not in picture
    assert "router: each request goes to one attention rank" in picture
    assert "A7" in picture and "R1" not in picture


def test_a_rank_is_named_by_its_replica_stage_attention_and_tensor_rank() -> None:
    assert role_name(1, 0, 5, Layout(tp=2, dp=4, ep=8, dp_attention=True)) == "R1·A2·T1"
    assert role_name(0, 0, 3, Layout(dp=8, ep=8, dp_attention=True)) == "R0·A3"
    assert role_name(0, 1, 2, Layout(tp=4, pp=2)) == "R0·S1·T2"
