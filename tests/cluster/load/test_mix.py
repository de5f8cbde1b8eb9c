"""Arrivals, lengths and percentiles: as `vllm bench serve` makes them."""

from __future__ import annotations

import statistics

import pytest

from cluster.load.arrivals import arrival_times_s
from cluster.load.figures import Answered, percentile, spread_of
from cluster.load.mix import LoadMix
from cluster.load.prompts import FIRST_ID, draw_prompts


def test_without_a_rate_all_are_sent_at_once() -> None:
    assert arrival_times_s(LoadMix(num_prompts=3)) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("burstiness", [0.2, 1.0, 5.0])
def test_arrivals_have_the_stated_rate_and_spread(burstiness: float) -> None:
    mix = LoadMix(num_prompts=4000, request_rate=8.0, burstiness=burstiness)
    times_s = arrival_times_s(mix)
    gaps_s = [after - before for before, after in zip([0.0, *times_s], times_s, strict=False)]
    assert times_s[-1] == pytest.approx(4000 / 8.0)
    assert min(gaps_s) >= 0
    # The coefficient of variation of a gamma distribution is 1 / sqrt(shape).
    variation = statistics.pstdev(gaps_s) / statistics.mean(gaps_s)
    assert variation == pytest.approx(burstiness**-0.5, rel=0.1)


def test_arrivals_are_those_of_the_seed() -> None:
    mix = LoadMix(num_prompts=5, request_rate=1.0, seed=3)
    assert arrival_times_s(mix) == arrival_times_s(mix)
    assert arrival_times_s(mix) != arrival_times_s(mix.model_copy(update={"seed": 4}))


def test_prompts_have_the_stated_lengths_and_prefix() -> None:
    mix = LoadMix(
        num_prompts=200,
        random_input_len=100,
        random_output_len=20,
        random_range_ratio=0.5,
        random_prefix_len=7,
    )
    prompts = list(draw_prompts(mix, 126))
    assert {prompt.ids[:7] for prompt in prompts} == {prompts[0].ids[:7]}
    lengths = [len(prompt.ids) - 7 for prompt in prompts]
    assert 50 <= min(lengths) < 60 and 140 < max(lengths) <= 150
    assert {prompt.max_tokens for prompt in prompts} == set(range(10, 31))
    assert min(min(prompt.ids) for prompt in prompts) >= FIRST_ID
    assert max(max(prompt.ids) for prompt in prompts) <= 126
    assert len({prompt.ids for prompt in prompts}) == 200
    assert max(len(prompt.ids) + prompt.max_tokens for prompt in prompts) <= mix.longest_tokens


def test_a_prompt_is_never_empty() -> None:
    (prompt,) = draw_prompts(LoadMix(num_prompts=1, random_input_len=0), 126)
    assert len(prompt.ids) == 1


def test_percentiles_are_numpys() -> None:
    # numpy.percentile([1, 2, 3, 4, 10], [0, 50, 90, 99, 100])
    values = [1.0, 2.0, 3.0, 4.0, 10.0]
    found = [percentile(values, percent) for percent in (0, 50, 90, 99, 100)]
    assert found == pytest.approx([1.0, 3.0, 7.6, 9.76, 10.0])
    assert percentile([5.0], 99) == 5.0


def test_a_spread_of_nothing_is_none() -> None:
    assert spread_of([]) is None
    found = spread_of([3.0, 1.0, 2.0], percents=(50, 95))
    assert found is not None and (found.count, found.mean, found.p50) == (3, 2.0, 2.0)
    assert found.more == {"p95": pytest.approx(2.9)}


def test_tpot_is_of_the_tokens_after_the_first() -> None:
    assert Answered(ttft_s=1.0, e2e_s=3.0, input_tokens=1, output_tokens=5).tpot_s == 0.5
    assert Answered(ttft_s=1.0, e2e_s=1.0, input_tokens=1, output_tokens=1).tpot_s is None


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"num_prompts": 1}, "1 request, all at once, 1,024 tokens in, 128 out"),
        (
            {"request_rate": 2.5, "burstiness": 0.5, "max_concurrency": 8, "random_range_ratio": 0.1},
            "100 requests, 2.5/s (burstiness 0.5), at most 8 in flight, 1,024 ±10% tokens in, 128 ±10% out",
        ),
        ({"random_prefix_len": 24}, "100 requests, all at once, 1,048 tokens in (24 shared), 128 out"),
    ],
)
def test_a_mix_as_text(fields: dict[str, float], text: str) -> None:
    assert LoadMix.model_validate(fields).text == text
