"""Why a layout leads, why others were passed over, and the three strategies side by side."""

from __future__ import annotations

import pytest

from cluster.planner.fixes.fix import Fix
from cluster.planner.kv_share import kv_share
from cluster.planner.reasons.describe import column_ranges
from cluster.planner.result import ComparisonColumn, Estimate, Plan
from cluster.planner.search.ranking import SAME, broken_conventions, smallest_span
from tests.cluster.planner.ask import LLAMA_7B, LLAMA_8B, LLAMA_70B, ask, best


def column(answer: Plan, strategy: str) -> dict[str, str]:
    found: ComparisonColumn = next(column for column in answer.comparison if column.strategy == strategy)
    return dict(found.rows)


def test_the_document_s_uneven_columns() -> None:
    assert column_ranges(4096, 3) == [(0, 1365), (1366, 2730), (2731, 4095)]


def test_columns_cover_the_width_once() -> None:
    for width, parts in ((8192, 8), (28, 5), (7, 7)):
        ranges = column_ranges(width, parts)
        assert [first for first, _ in ranges] == [0, *(last + 1 for _, last in ranges[:-1])]
        assert ranges[-1][1] == width - 1


def test_three_strategies_with_this_model_s_figures() -> None:
    answer = ask(LLAMA_70B, "2x4xA100-80GB")
    data, tensor, both = (column(answer, name) for name in ("Data parallel", "Tensor parallel", "TP x DP"))
    assert data["Model per GPU"] == "FULL copy: 131.4 GiB" and data["Communication"] == "NONE (inference)"
    assert data["Latency"] == "does not run" and "> budget" in data["Memory per GPU"]
    assert tensor["Model per GPU"].startswith("1/4 of each layer: 32.9 GiB")
    assert tensor["Columns"] == "0-2047, 2048-4095, 4096-6143, 6144-8191"
    assert tensor["Communication"].startswith("160 all-reduces per token")
    assert "1/4 KV cache (2 of 8 KV heads)" in tensor["Memory per GPU"]
    assert "1 replica" in tensor["Throughput"] and "= 2 x" in both["Throughput"]


def test_the_source_s_rows_are_all_there() -> None:
    rows = {"Model per GPU", "Communication", "Latency", "Throughput", "Memory per GPU", "Best for"}
    assert rows <= set(column(ask(LLAMA_7B, "4xA100-80GB"), "Data parallel"))


@pytest.mark.parametrize(
    ("model", "tp", "told"),
    [
        (LLAMA_70B, 4, "1/4 KV cache (2 of 8 KV heads)"),
        (LLAMA_70B, 16, "1/8 KV cache (1 of 8 KV heads, each on 2 ranks)"),
        (LLAMA_70B, 3, "3 of 8 KV heads' cache"),
        (LLAMA_70B, 1, "full KV cache"),
        ("deepseek-ai/DeepSeek-V3", 8, "full KV cache (latent: the same on every rank)"),
    ],
)
def test_the_true_share_of_the_cache(model: str, tp: int, told: str) -> None:
    from cluster.catalog.models import load_model

    assert kv_share(load_model(model), tp) == told


def test_every_candidate_says_why() -> None:
    answer = ask(LLAMA_70B, "2x4xA100-80GB")
    assert all(candidate.why for candidate in answer.candidates)
    why = {candidate.label: candidate.why for candidate in answer.candidates}
    assert "all-reduce across nodes" in why["TP=8"] and "TP=4" in why["TP=8"]
    assert "GiB over the 73.2 GiB budget" in why["DP=1"]
    assert "2 pipeline stages to keep busy" in why["TP=4, PP=2"]
    assert all(rejection.fix for c in answer.candidates for rejection in c.rejections)


def test_latency_ranks_by_latency() -> None:
    fast = best(ask(LLAMA_8B, "8xH100", objective="latency"))
    full = best(ask(LLAMA_8B, "8xH100"))
    assert fast.layout.tp > full.layout.tp == 1
    assert fast.estimate is not None and full.estimate is not None
    assert fast.estimate.tpot_s.value < full.estimate.tpot_s.value


def test_few_requests_need_few_replicas() -> None:
    assert best(ask(LLAMA_7B, "2x4xA100-80GB", concurrency=3)).layout.num_replicas <= 3


def test_limits_are_kept_where_they_can_be() -> None:
    answer = ask(LLAMA_70B, "8xH100", tpot_s=0.03)
    chosen = best(answer)
    assert chosen.estimate is not None and chosen.estimate.tpot_s.value <= 0.03
    missed = ask(LLAMA_70B, "8xH100", tpot_s=1e-5)
    assert "no layout meets the limits" in best(missed).why
    overshoots = [c.estimate.tpot_s.value for c in missed.candidates if c.estimate is not None]
    assert overshoots == sorted(overshoots)


def test_an_unknown_gpu_is_planned_with_its_nearest_and_says_so() -> None:
    from cluster.cluster_spec import parse_cluster_spec
    from tests.cluster.planner.ask import with_gpu

    cluster = with_gpu(parse_cluster_spec("1xA100-80GB"), 0, 0, type="NVIDIA Unheard-of 80GB")
    notes = best(ask(LLAMA_8B, cluster)).notes
    assert any("is not in the catalog: using the rates of" in note for note in notes)


def test_fixes_name_only_what_this_cluster_can_do() -> None:
    for spec, widest in (("2x4xA100-80GB", 4), ("2x1xA100-80GB", 1)):
        for candidate in ask(LLAMA_70B, spec).candidates:
            for rejection in candidate.rejections:
                layouts = [fix.layout for fix in rejection.fixes if fix.layout and fix.hardware is None]
                assert all(layout.tp <= widest for layout in layouts), rejection


@pytest.mark.parametrize(
    ("model", "cluster"),
    [
        ("openai/gpt-oss-120b", "4xL40S"),
        ("openai/gpt-oss-120b", "2xA100-80GB"),
        ("Qwen/Qwen3-235B-A22B", "8xH100"),
        (LLAMA_70B, "2x4xA100-80GB"),
    ],
)
def test_the_first_has_the_highest_estimate_or_is_within_the_tie(model: str, cluster: str) -> None:
    answer = ask(model, cluster)
    rates = [one.estimate.throughput_tokens_per_s.value for one in answer.candidates if one.estimate]
    assert rates[0] >= max(rates) * (1 - SAME)


def test_a_rule_that_a_higher_estimate_breaks_is_named() -> None:
    answer = ask("deepseek-ai/DeepSeek-V3", "2x8xH100")
    chosen = best(answer)
    higher = max(
        (one for one in answer.candidates if one.estimate),
        key=lambda one: rate_of(one.estimate),
        default=chosen,
    )
    assert rate_of(chosen.estimate) < rate_of(higher.estimate) * (1 - SAME)
    needed = smallest_span(answer.candidates)
    assert broken_conventions(higher, needed) and not broken_conventions(chosen, needed)
    assert "chosen for" in chosen.why and higher.label in chosen.why and "equally good" not in chosen.why


def test_more_room_for_keys_and_values_never_lowers_the_best_estimate() -> None:
    full, narrow = (ask("openai/gpt-oss-120b", "4xL40S", kv_cache_dtype=dtype) for dtype in (None, "fp8"))
    assert rate_of(best(narrow).estimate) >= rate_of(best(full).estimate)


def rate_of(estimate: Estimate | None) -> float:
    return estimate.throughput_tokens_per_s.value if estimate else 0.0


def test_no_stage_more_for_a_latency_that_is_no_better() -> None:
    assert best(ask("deepseek-ai/DeepSeek-R1", "8xB200", objective="latency")).layout.pp == 1


def test_a_limit_that_nothing_keeps_is_missed_by_as_little_as_can_be() -> None:
    answer = ask("Qwen/Qwen3-8B", "4xH100", ttft_s=0.001)
    nearest = best(answer).estimate
    fastest = best(ask("Qwen/Qwen3-8B", "4xH100", tp=4, concurrency=1)).estimate
    assert nearest is not None and fastest is not None
    assert nearest.ttft_s.value <= fastest.ttft_s.value * 1.1
    assert not any("batch capped" in candidate.why for candidate in answer.candidates)


def test_context_ranks_that_do_not_divide_are_not_blamed_on_memory() -> None:
    answer = ask("deepseek-ai/DeepSeek-R1", "8xH200", tp=8, decode_context_parallel=3)
    told = " ".join(step.because for step in answer.decision)
    assert "no layout inside one node holds" not in told
    assert Fix.of(decode_context_parallel=4) in answer.candidates[0].rejections[0].fixes
