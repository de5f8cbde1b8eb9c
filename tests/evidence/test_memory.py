"""Accuracy targets of the memory model and the rules, on everything engines reported."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest

from tests.evidence.figures import Miss, percentile
from tests.evidence.memory_accuracy import MemoryAccuracy, memory_accuracy
from tests.evidence.refusal_accuracy import refusal_accuracy

FOLDER = Path(__file__).with_name("data")


@pytest.fixture(scope="module")
def accuracy() -> MemoryAccuracy:
    return memory_accuracy(FOLDER)


def relative(misses: list[Miss]) -> list[float]:
    return [abs(miss.relative) for miss in misses]


def absolute(misses: list[Miss]) -> list[float]:
    return [abs(miss.absolute) for miss in misses]


def test_weights(accuracy: MemoryAccuracy) -> None:
    assert len(accuracy.weights) >= 40
    assert median(relative(accuracy.weights)) < 0.02
    assert max(relative(accuracy.weights)) < 0.05


def test_activation_peaks(accuracy: MemoryAccuracy) -> None:
    assert len(accuracy.activation) >= 40
    assert median(absolute(accuracy.activation)) < 0.1
    assert percentile(absolute(accuracy.activation), 0.9) < 0.3


def test_cache_tokens(accuracy: MemoryAccuracy) -> None:
    assert len(accuracy.tokens) >= 15
    assert median(relative(accuracy.tokens)) < 0.005


def test_cache_room_from_scratch(accuracy: MemoryAccuracy) -> None:
    assert len(accuracy.room) >= 30
    assert median(absolute(accuracy.room)) < 0.5
    assert percentile(absolute(accuracy.room), 0.8) < 0.5


def test_refusals() -> None:
    found = refusal_accuracy(FOLDER)
    assert found.right / (found.right + len(found.wrong)) >= 0.95
    assert found.refused_though_run == []
