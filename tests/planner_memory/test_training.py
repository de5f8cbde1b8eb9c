"""Training memory under DDP and the ZeRO stages."""

from __future__ import annotations

import pytest

from cluster.planner.layout import Layout
from cluster.planner.memory import TrainingMemory, training_memory
from cluster.planner.memory.training import Sharding
from cluster.planner.request import PlanRequest
from tests.planner_memory.specs import llama_8b, whole

SPEC = llama_8b()
PARAMETERS = 8_030_261_248


def train(sharding: Sharding, dp: int = 8, **options: bool) -> TrainingMemory:
    request = PlanRequest(input_tokens=2048)
    return training_memory(SPEC, Layout(dp=dp), whole(SPEC), request, sharding, **options)


def test_ddp_keeps_sixteen_bytes_a_parameter() -> None:
    rank = train("ddp")
    assert rank.parameter_bytes + rank.gradient_bytes + rank.optimizer_bytes == 16 * PARAMETERS


@pytest.mark.parametrize(
    ("sharding", "bytes_a_parameter"), [("zero1", 4 + 12 / 8), ("zero2", 2 + 14 / 8), ("zero3", 16 / 8)]
)
def test_each_zero_stage_divides_one_part_more(sharding: Sharding, bytes_a_parameter: float) -> None:
    rank = train(sharding)
    states = rank.parameter_bytes + rank.gradient_bytes + rank.optimizer_bytes
    assert states == pytest.approx(bytes_a_parameter * PARAMETERS, rel=1e-6)


def test_gradients_are_reduced_only_between_ranks() -> None:
    assert train("ddp").gradient_all_reduce_bytes == 2 * PARAMETERS
    assert train("ddp").communication_bytes_per_step == 2 * 2 * PARAMETERS * 7 // 8
    assert train("zero3").communication_bytes_per_step == 3 * 2 * PARAMETERS * 7 // 8
    alone = train("ddp", dp=1)
    assert (alone.gradient_all_reduce_bytes, alone.communication_bytes_per_step) == (0, 0)


def test_recomputing_keeps_only_the_inputs_of_the_layers() -> None:
    assert train("ddp", recompute=True).activation_bytes < train("ddp", recompute=False).activation_bytes / 5
