"""Which layouts are looked at: experts, pinned degrees, mixed clusters, huge clusters."""

from __future__ import annotations

from cluster.cluster_spec import parse_cluster_spec
from cluster.planner.fixes.fix import Fix
from cluster.planner.layout import Layout
from cluster.planner.rule import Rule
from tests.cluster.planner.ask import GIB, LLAMA_7B, LLAMA_8B, LLAMA_70B, LLAMA_405B, ask, best, with_gpu

SPARSE = "Qwen/Qwen3-30B-A3B"
LATENT = "deepseek-ai/DeepSeek-V3"


def test_experts_are_divided_in_every_way_an_engine_knows() -> None:
    layouts = [candidate.layout for candidate in ask(SPARSE, "8xH100").candidates]
    assert any(layout.ep == layout.tp > 1 for layout in layouts)
    assert any(layout.dp_attention and layout.ep == 8 for layout in layouts)
    assert all(layout.ep == 1 for layout in (c.layout for c in ask(LLAMA_8B, "8xH100").candidates))


def test_an_engine_without_expert_parallelism_is_not_asked_for_it() -> None:
    assert all(c.layout.ep == 1 for c in ask(SPARSE, "8xH100", engine="builtin").candidates)


def test_shared_experts_are_one_engine_over_all_its_ranks() -> None:
    answer = ask(LATENT, "8xH200", tp=1, ep=8, dp=8)
    choice = answer.candidates[0]
    assert choice.layout.dp_attention and choice.layout.num_replicas == 1 and choice.layout.gpus == 8
    assert len(list(choice.placement)) == 8 and choice.feasible


def test_a_pinned_expert_degree_that_does_not_divide_is_refused() -> None:
    answer = ask(SPARSE, "8xH100", ep=3, tp=1)
    assert answer.recommended is None and answer.candidates[0].rejections


def test_pins_are_kept_and_the_rest_is_free() -> None:
    assert best(ask(LLAMA_7B, "8xA100-80GB", tp=2)).layout.tp == 2
    assert best(ask(LLAMA_7B, "8xA100-80GB", pp=4)).layout.pp == 4
    assert best(ask(LLAMA_7B, "8xA100-80GB", dp=3)).layout.dp == 3
    exact = ask(LLAMA_70B, "2x4xA100-80GB", tp=2, pp=2, dp=1)
    assert [candidate.label for candidate in exact.candidates] == ["TP=2, PP=2"]


def test_more_replicas_than_there_is_room_for() -> None:
    rejection = ask(LLAMA_70B, "2x4xA100-80GB", tp=4, dp=3).candidates[0].rejections[0]
    assert rejection.rule is Rule.NOT_ENOUGH_GPUS and Fix(layout=Layout(tp=4, dp=2)) in rejection.fixes


def test_replicas_of_one_model_may_run_on_different_gpu_types() -> None:
    choice = best(ask(LLAMA_7B, "4xA100-80GB,4xL40S", max_model_len=2048))
    assert choice.label == "DP=8"
    only = best(ask(LLAMA_7B, "4xA100-80GB,4xL40S", max_model_len=2048, objective="latency", tp=1))
    assert only.layout.dp == 4
    assert {rank.node_name for rank in only.placement} == {"node-1"}


def test_a_pipeline_may_run_over_different_gpu_types_when_nothing_else_holds() -> None:
    answer = ask(LLAMA_70B, "1xH200,1xA100-80GB", pp=2, max_model_len=4096, engine="builtin")
    choice = best(answer)
    assert {rank.node_name for rank in choice.placement} == {"node-1", "node-2"}
    assert any("different GPU types" in note for note in choice.notes)
    assert choice.memory_by_stage[0].budget_bytes != choice.memory_by_stage[1].budget_bytes


def test_pcie_machines_are_planned_by_cost() -> None:
    split = best(ask(LLAMA_70B, "8xL40S")).layout
    assert split.pp > 1 and split.tp < 8


def test_ten_thousand_gpus_are_judged_as_one_shape() -> None:
    small, large = ask(LLAMA_405B, "10x8xH100"), ask(LLAMA_405B, "1250x8xH100")
    assert best(large).layout.dp == 625 and best(small).layout.dp == 5
    assert large.num_layouts_considered == small.num_layouts_considered
    assert len(best(large).placement) == 10_000


def test_noise_in_free_memory_does_not_split_a_cluster() -> None:
    cluster = parse_cluster_spec("30x8xA100-80GB")
    for node in range(30):
        for index in range(8):
            held = (node * 8 + index) * 2 * 1024**2
            total = cluster.nodes[node].gpus[index].memory_total_bytes
            assert total is not None
            cluster = with_gpu(cluster, node, index, memory_free_bytes=total - held)
    assert best(ask(LLAMA_8B, cluster)).label == "DP=240"


def test_the_order_of_gpus_in_a_node_makes_no_shape() -> None:
    busy = {"memory_free_bytes": 5 * GIB}
    first = with_gpu(parse_cluster_spec("2x4xA100-80GB"), 0, 0, **busy)
    both = with_gpu(first, 1, 3, **busy)
    choice = best(ask(LLAMA_8B, both))
    places = {(rank.node_name, rank.gpu_index) for rank in choice.placement}
    assert len(places) == 6 and ("node-1", 0) not in places and ("node-2", 3) not in places
