"""Layers over pipeline stages: lighter ends, and fewer where there is less room."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cluster.catalog.engine_catalog import load_engine
from cluster.catalog.models import load_model
from cluster.cluster_spec import parse_cluster_spec
from cluster.planner.layout import Layout
from cluster.planner.request import EngineName
from cluster.planner.search.stages import split_layers
from tests.cluster.planner.ask import GIB, LLAMA_7B, LLAMA_70B, LLAMA_405B, ask, best, with_gpu


def sizes(model: str, rooms: Sequence[int], engine: EngineName = "builtin") -> list[int]:
    layout = Layout(pp=len(rooms))
    stages = split_layers(load_model(model), layout, load_engine(engine), rooms)
    assert [stage.stage for stage in stages] == list(range(len(rooms)))
    assert stages[0].is_first and stages[-1].is_last
    return [stage.num_layers for stage in stages]


@pytest.mark.parametrize(("model", "layers"), [(LLAMA_70B, 80), (LLAMA_405B, 126)])
@pytest.mark.parametrize("num_stages", [1, 2, 3, 7, 16])
def test_every_layer_has_one_stage(model: str, layers: int, num_stages: int) -> None:
    found = sizes(model, [60 * GIB] * num_stages)
    assert sum(found) == layers and min(found) > 0


def test_first_and_last_stage_are_lighter() -> None:
    """They hold the embedding and the head beside their layers."""
    assert sizes(LLAMA_70B, [36 * GIB] * 4) == [19, 21, 21, 19]


def test_an_engine_keeps_its_own_split_unless_another_leaves_clearly_more_room() -> None:
    wide = "Qwen/Qwen2.5-72B-Instruct"
    assert sizes(wide, [40 * GIB] * 6, "vllm") == [13, 13, 13, 14, 14, 13] != sizes(wide, [40 * GIB] * 6)
    # A wide vocabulary on thin layers: the ends are worth more than a layer.
    assert sizes("Qwen/Qwen2.5-7B-Instruct", [6 * GIB] * 4, "vllm") == [6, 8, 8, 6]
    # Where the weights all but fill the GPUs, every layer counts.
    assert sizes(LLAMA_70B, [36 * GIB] * 4, "vllm") == [19, 21, 21, 19]


def test_a_stage_with_half_the_room_holds_about_half_the_layers() -> None:
    full, half = sizes(LLAMA_70B, [140 * GIB, 70 * GIB])
    assert 1.7 < full / half < 2.3


def test_no_room_at_all_still_divides() -> None:
    assert sizes(LLAMA_7B, [0, -5 * GIB, 0]) != []


def test_uneven_stages_let_a_busy_gpu_take_part() -> None:
    cluster = with_gpu(parse_cluster_spec("1x2xA100-80GB"), 0, 1, memory_free_bytes=30 * GIB)
    choice = best(ask("Qwen/Qwen2.5-32B-Instruct", cluster, engine="builtin", pp=2, max_model_len=2048))
    by_gpu = {rank.gpu_index: choice.stages[rank.stage].num_layers for rank in choice.placement}
    assert by_gpu[0] > 1.5 * by_gpu[1]
