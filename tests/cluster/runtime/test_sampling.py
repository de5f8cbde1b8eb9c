"""Sampling a token, and encoding its parameters for other ranks."""

from __future__ import annotations

import random
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import BadInput
from cluster.runtime.generation import SamplingParams
from cluster.runtime.sampling import draw_token
from cluster.runtime.step_plan import SlotMove, StepKind, StepPlan, decode, encode

PROBABILITIES = torch.tensor([0.1, 0.4, 0.2, 0.3])
LOGITS = PROBABILITIES.log()


def draws(sampling: SamplingParams, count: int = 4000) -> dict[int, float]:
    rng = random.Random(1)
    counts = Counter(draw_token(LOGITS, sampling, rng) for _ in range(count))
    return {token: number / count for token, number in counts.items()}


def test_frequencies_are_the_probabilities() -> None:
    seen = draws(SamplingParams(temperature=1.0))
    for token, probability in enumerate(PROBABILITIES.tolist()):
        assert seen[token] == pytest.approx(probability, abs=0.03)


def test_temperature_sharpens() -> None:
    sharpened = PROBABILITIES**2 / (PROBABILITIES**2).sum()
    seen = draws(SamplingParams(temperature=0.5))
    assert seen[1] == pytest.approx(float(sharpened[1]), abs=0.03)
    assert set(draws(SamplingParams(temperature=0.0), 10)) == {1}


def test_top_k_and_top_p_cut() -> None:
    assert set(draws(SamplingParams(temperature=1.0, top_k=2))) == {1, 3}
    assert set(draws(SamplingParams(temperature=1.0, top_p=0.7))) == {1, 3}
    assert set(draws(SamplingParams(temperature=1.0, top_p=0.71))) == {1, 2, 3}
    assert set(draws(SamplingParams(temperature=1.0, top_p=1e-9))) == {1}
    assert draws(SamplingParams(temperature=1.0, top_k=2))[1] == pytest.approx(4 / 7, abs=0.03)


@pytest.mark.parametrize(
    "fields",
    [{"temperature": -1}, {"temperature": float("nan")}, {"top_p": 0}, {"top_p": 1.1}, {"top_k": -1}],
)
def test_parameters_out_of_range_are_bad_input(fields: dict[str, float]) -> None:
    with pytest.raises(BadInput):
        SamplingParams(**fields)  # type: ignore[arg-type]


numbers = st.integers(0, 2**40)
samplings = st.builds(
    SamplingParams,
    temperature=st.floats(0, 100),
    top_p=st.floats(0, 1, exclude_min=True),
    top_k=st.integers(0, 2**31 - 1),
    seed=st.integers(0, 2**62),
)


@given(
    st.builds(
        StepPlan,
        kind=st.sampled_from(StepKind),
        moves=st.lists(st.builds(SlotMove, numbers, numbers, numbers), max_size=3).map(tuple),
        tokens=st.lists(numbers, max_size=5).map(tuple),
        positions=st.lists(numbers, max_size=5).map(tuple),
        slot=numbers,
        prompt_length=numbers,
        sampling=st.none() | samplings,
        greedy=st.booleans(),
    )
)
def test_a_step_plan_is_encoded_and_decoded_unchanged(plan: StepPlan) -> None:
    flat = encode(plan)
    assert torch.tensor(flat, dtype=torch.int64).tolist() == flat
    assert decode(flat) == plan
