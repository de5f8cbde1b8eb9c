"""Health in plans: who is left out, who is preferred, what a degraded GPU costs, and that it is said."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.cli.plan_sections import health
from cluster.cli.style import Style
from cluster.cluster_spec import parse_cluster_spec
from cluster.gpu_health import Finding, Health, Slowdown
from cluster.inventory import Cluster
from cluster.planner.fixes.larger_clusters import with_nodes, without_tenants
from cluster.planner.reasons.health import standings
from cluster.planner.result import Plan
from cluster.planner.rule import Rule
from cluster.planner.to_json import plan_to_json
from tests.cluster.health.scene import sick_cluster
from tests.cluster.planner.ask import GIB, LLAMA_8B, LLAMA_70B, LLAMA_405B, ask, best, with_gpu

PLAIN = Style(colored=False)


def degraded(text: str = "a memory row is to be remapped at the next GPU reset", **left: float) -> Health:
    finding = Finding(code="remap_pending", state="degraded", text=text)
    return Health(state="degraded", findings=(finding,), slowdown=Slowdown(**left))


def with_health_of(spec: str | Cluster, healths: dict[int, Health], node: int = 0) -> Cluster:
    cluster = parse_cluster_spec(spec) if isinstance(spec, str) else spec
    for index, one in healths.items():
        cluster = with_gpu(cluster, node, index, health=one)
    return cluster


def used(answer: Plan) -> list[tuple[str, int]]:
    return sorted((place.node_name, place.gpu_index) for place in best(answer).placement)


def rate(answer: Plan) -> float:
    estimate = best(answer).estimate
    assert estimate is not None
    return estimate.throughput_tokens_per_s.value


# The scene: a 70B model on eight H100 of which none is healthy.


def test_the_scene_alone_is_planned_on_what_is_usable_and_says_why() -> None:
    answer = ask(LLAMA_70B, sick_cluster(), concurrency=1)
    lead = best(answer)
    gpus = {index for _, index in used(answer)}
    assert not gpus & {2, 5, 6}, "unhealthy GPUs are never planned on"
    assert lead.degraded.num_gpus == len(gpus)
    assert lead.notes[0].startswith(
        f"{len(gpus)} of its {len(gpus)} GPUs are degraded, because no usable GPU is healthy: sick GPU "
    )
    assert "throttled: 345 of 1,980 MHz (hardware thermal slowdown)" in lead.notes[0]
    assert (
        "timed at their slowest GPU: down to 17% of the compute rate, 34% of the memory rate" in lead.notes[1]
    )


def test_the_scene_is_slower_than_sound_gpus_by_what_is_throttled() -> None:
    layout = {"tp": 4, "pp": 1, "concurrency": 1}
    sick, sound = ask(LLAMA_70B, sick_cluster(), **layout), ask(LLAMA_70B, "1x8xH100", **layout)
    assert 0.3 < rate(sick) / rate(sound) < 0.5, "decoding is bound by memory, of which 34% is left"


def test_beside_a_sound_node_no_sick_gpu_is_used() -> None:
    answer = ask(LLAMA_70B, sick_cluster(beside="1x8xH100"), concurrency=1)
    assert {name for name, _ in used(answer)}.isdisjoint({"sick"})
    assert best(answer).degraded.num_gpus == 0
    assert not any("degraded" in note for note in best(answer).notes)


def test_the_text_names_every_gpu_that_is_not_healthy_and_what_the_plan_does_with_it() -> None:
    answer = ask(LLAMA_70B, sick_cluster(), tp=4)
    text = "\n".join(health(answer, PLAIN, 110))
    assert text.startswith("Health  5 degraded, 3 unhealthy of 8 GPUs")
    lines = {line.split("  ")[1]: line for line in text.splitlines()[1:] if line.startswith("  sick")}
    assert "degraded, replica 0" in lines["sick GPU 3"] and "4 of 18 NVLinks down" in lines["sick GPU 3"]
    assert "degraded, not used" in lines["sick GPU 0"] and "97% busy" in lines["sick GPU 0"]
    assert "unhealthy, left out" in lines["sick GPU 5"] and "the GPU is lost" in lines["sick GPU 5"]
    assert len(lines) == 8


def test_json_carries_the_verdict_per_gpu_the_counts_and_the_use() -> None:
    document = plan_to_json(ask(LLAMA_70B, sick_cluster(), tp=4))
    summary = document["health"]
    assert {
        name: summary[name] for name in ("healthy", "degraded", "unhealthy", "excluded", "not_judged")
    } == {
        "healthy": 0,
        "degraded": 5,
        "unhealthy": 3,
        "excluded": 0,
        "not_judged": 0,
    }
    states = {one["gpu_index"]: (one["state"], one["replica"]) for one in summary["gpus"]}
    assert (
        states[2] == ("unhealthy", None) and states[3] == ("degraded", 0) and states[0] == ("degraded", None)
    )
    gpu = document["cluster"]["nodes"][0]["gpus"][4]
    assert gpu["health"]["verdict"] == "degraded"
    assert gpu["health"]["reasons"] == ["PCIe gen1 x4 of gen5 x16"]
    assert document["recommended"]["num_degraded_gpus"] == 4


def test_a_plan_on_sound_gpus_says_nothing_of_health() -> None:
    answer = ask(LLAMA_8B, "1x8xH100")
    assert standings(answer) == () and list(health(answer, PLAIN, 110)) == []
    assert plan_to_json(answer)["health"]["not_judged"] == 8


# Preference: healthy ones among equals.


@pytest.mark.parametrize("bad", [0, 3, 7])
def test_one_replica_is_placed_on_sound_gpus(bad: int) -> None:
    answer = ask(LLAMA_8B, with_health_of("1x8xH100", {bad: degraded()}), tp=1, pp=1, dp=1)
    assert ("node-1", bad) not in used(answer)


def test_a_group_is_made_of_sound_gpus() -> None:
    cluster = with_health_of("1x8xH100", {0: degraded(), 2: degraded(), 5: degraded()})
    assert {index for _, index in used(ask(LLAMA_70B, cluster, tp=4, pp=1, dp=1))} == {1, 3, 4, 6}


def test_of_degraded_gpus_those_that_lost_least_come_first() -> None:
    healths = {index: degraded(compute=0.2, memory=0.2) for index in range(4)}
    healths |= {index: degraded(compute=0.9) for index in range(4, 8)}
    answer = ask(LLAMA_70B, with_health_of("1x8xH100", healths), tp=4, pp=1, dp=1)
    assert {index for _, index in used(answer)} == {4, 5, 6, 7}


def test_a_narrow_pcie_link_matters_little_behind_nvlink() -> None:
    healths = {index: degraded(pcie=0.02) for index in range(4)}
    healths |= {index: degraded(nvlink=0.5) for index in range(4, 8)}
    answer = ask(LLAMA_70B, with_health_of("1x8xH100", healths), tp=4, pp=1, dp=1)
    assert {index for _, index in used(answer)} == {0, 1, 2, 3}


def test_a_full_gpu_does_not_go_before_an_idle_degraded_one() -> None:
    cluster = with_health_of("1x5xH100", {4: degraded()})
    cluster = with_gpu(cluster, 0, 0, memory_free_bytes=10 * GIB)
    answer = ask(LLAMA_70B, cluster, tp=4)
    assert {index for _, index in used(answer)} == {1, 2, 3, 4}
    assert (
        "because the healthy ones do not have the memory or the links that it needs" in best(answer).notes[0]
    )


def test_free_memory_decides_where_the_sound_gpus_have_too_little() -> None:
    """Two ranks hold 66 GiB each, and one of the two sound GPUs has too little."""
    cluster = with_health_of("1x3xA100-80GB", {2: degraded()})
    cluster = with_gpu(cluster, 0, 0, memory_free_bytes=61 * GIB)
    answer = ask(LLAMA_70B, cluster, tp=2, pp=1, max_model_len=2048)
    assert {index for _, index in used(answer)} == {1, 2}


def test_a_sound_machine_goes_first() -> None:
    cluster = with_health_of("2x4xH100", dict.fromkeys(range(4), degraded()))
    answer = ask(LLAMA_70B, cluster, tp=4, pp=1, dp=1)
    assert {name for name, _ in used(answer)} == {"node-2"}
    assert len(answer.candidates) == 1


def test_a_replica_over_machines_is_made_of_sound_ones() -> None:
    """405B needs two of these nodes, no two of which are alike."""
    cluster = with_health_of("3x8xH100", dict.fromkeys(range(8), degraded(memory=0.5)))
    for index in range(8):
        cluster = with_gpu(cluster, 1, index, memory_free_bytes=78 * GIB)
    answer = ask(LLAMA_405B, cluster, tp=8, pp=2, dp=1, max_model_len=8192)
    assert {name for name, _ in used(answer)} == {"node-2", "node-3"}


def test_degraded_gpus_are_used_where_they_add_throughput() -> None:
    answer = ask(LLAMA_8B, with_health_of("1x4xH100", {3: degraded()}))
    assert best(answer).layout.num_replicas == 4
    assert best(answer).notes[0] == (
        "1 of its 4 GPUs is degraded, because only 3 of the 4 usable GPUs are healthy, and the others add "
        "throughput: node-1 GPU 3 (a memory row is to be remapped at the next GPU reset)"
    )


def test_a_replica_that_is_too_slow_to_help_is_left_away() -> None:
    answer = ask(LLAMA_8B, with_health_of("1x4xH100", {1: degraded(compute=0.05, memory=0.05)}))
    assert used(answer) == [("node-1", 0), ("node-1", 2), ("node-1", 3)]
    assert [one.use for one in standings(answer)] == ["not used"]
    assert best(answer).why.endswith("about as fast as DP=4, and uses no degraded GPU")
    (other,) = (one for one in answer.candidates if one.label == "DP=4")
    assert "uses 1 degraded GPU" in other.why
    throughput = dict(answer.comparison[0].rows)["Throughput"]
    assert throughput.endswith(", 4 unequal replicas")


# Cost.


@pytest.mark.parametrize(
    ("left", "layout"),
    [
        ({"memory": 0.5}, {"tp": 4, "pp": 1}),
        ({"compute": 0.1}, {"tp": 4, "pp": 1}),
        ({"nvlink": 0.1}, {"tp": 4, "pp": 1}),
        ({"memory": 0.5}, {"tp": 2, "pp": 2}),
    ],
)
def test_what_is_lost_makes_the_estimate_slower(left: dict[str, float], layout: dict[str, int]) -> None:
    slow = with_health_of("1x4xH100", {2: degraded(**left)})
    assert rate(ask(LLAMA_70B, slow, **layout)) < 0.99 * rate(ask(LLAMA_70B, "1x4xH100", **layout))


def test_what_lost_nothing_costs_nothing() -> None:
    pending = with_health_of("1x4xH100", {2: degraded()})
    assert rate(ask(LLAMA_70B, pending, tp=4)) == rate(ask(LLAMA_70B, "1x4xH100", tp=4))


def test_a_narrow_pcie_link_slows_groups_without_nvlink_alone() -> None:
    narrow = {0: degraded(pcie=0.1)}
    asked: dict[str, Any] = {"tp": 2, "dp": 1}
    assert rate(ask(LLAMA_8B, with_health_of("1x2xL4", narrow), **asked)) < rate(
        ask(LLAMA_8B, "1x2xL4", **asked)
    )
    linked = ask(LLAMA_8B, with_health_of("1x2xH100", narrow), **asked)
    assert rate(linked) == rate(ask(LLAMA_8B, "1x2xH100", **asked))


def test_training_exchanges_over_the_links_that_are_left() -> None:
    slow = with_health_of("1x8xH100", {6: degraded(nvlink=0.2)})
    whys = [best(ask(LLAMA_8B, one, workload="training")).why for one in (slow, "1x8xH100")]
    assert whys[0] != whys[1]
    assert any("degraded" in note for note in best(ask(LLAMA_8B, slow, workload="training")).notes)


# Left out.


def test_excluded_gpus_are_left_out_with_their_reason() -> None:
    cluster = parse_cluster_spec("1x4xH100")
    for index in (0, 1):
        cluster = with_gpu(cluster, 0, index, excluded_reason="not in CUDA_VISIBLE_DEVICES")
    answer = ask(LLAMA_8B, cluster)
    assert used(answer) == [("node-1", 2), ("node-1", 3)]
    assert [(one.standing, one.use) for one in standings(answer)] == [("excluded", "left out")] * 2
    refused = ask(LLAMA_70B, cluster, tp=4)
    assert refused.recommended is None
    rejection = refused.candidates[0].rejections[0]
    assert rejection.rule == Rule.GPU_EXCLUDED and "not in CUDA_VISIBLE_DEVICES" in rejection.message


def test_a_thousand_sick_nodes_are_planned_on_as_kinds_and_not_one_by_one() -> None:
    spec = parse_cluster_spec("300x8xH100")
    nodes = tuple(
        with_health_of(
            Cluster(source="spec", nodes=(node,)),
            {number % 8: degraded(f"clock {number}", compute=0.5 + number / 1000)},
        ).nodes[0]
        for number, node in enumerate(spec.nodes)
    )
    answer = ask(LLAMA_70B, spec.model_copy(update={"nodes": nodes}))
    assert answer.recommended is not None
    text = list(health(answer, PLAIN, 110))
    assert text[0] == "Health  300 degraded of 2,400 GPUs"
    assert text[-1].endswith("more (--json names all)")


def test_a_gpu_whose_tenants_are_to_leave_is_no_longer_busy() -> None:
    busy = Health(
        state="degraded",
        findings=(Finding(code="busy", state="degraded", text="97% busy"),),
        slowdown=Slowdown(compute=0.5, memory=0.5),
    )
    full = with_gpu(parse_cluster_spec("1xH100"), 0, 0, memory_free_bytes=10 * GIB, health=busy)
    emptied = without_tenants(full)
    assert emptied is not None and emptied.nodes[0].gpus[0].health is None
    still_hot = degraded("hot: 95 C")
    emptied = without_tenants(with_gpu(full, 0, 0, health=still_hot))
    assert emptied is not None and emptied.nodes[0].gpus[0].health == still_hot


def test_hardware_that_is_added_is_sound() -> None:
    cluster = with_health_of("1x2xH100", {0: degraded(compute=0.1), 1: degraded(compute=0.1)})
    assert all(gpu.health is None for gpu in with_nodes(cluster, 2, 8).nodes[1].gpus)
