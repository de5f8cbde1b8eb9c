"""Training memory under DDP and the ZeRO stages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.catalog.model_spec import ModelSpec, Quantization, Split, WeightFormat
from cluster.planner.layout import Layout, StageRange
from cluster.planner.memory import TrainingMemory, TrainingSetup, training_memory
from cluster.planner.memory.training_memory import Sharding
from tests.cluster.planner.memory.specs import AWQ, attention, dense_layer, halves, llama_8b, model, whole

SPEC = llama_8b()
PARAMETERS = 8_030_261_248
BY_AWQ = Quantization("awq", AWQ)


def train(
    sharding: Sharding,
    dp: int = 8,
    spec: ModelSpec = SPEC,
    layout: Layout | None = None,
    stage: StageRange | None = None,
    tokens: int = 2048,
    recompute: bool = True,
) -> TrainingMemory:
    setup = TrainingSetup(spec, layout or Layout(dp=dp), tokens, sharding, recompute)
    return training_memory(setup, stage or whole(spec))


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
    first = StageRange(0, 0, 32, True, False)
    again, kept = train("ddp", stage=first), train("ddp", stage=first, recompute=False)
    assert again.activation_bytes < kept.activation_bytes / 5


def test_quantized_weights_are_trained_in_sixteen_bits() -> None:
    packed = model((dense_layer(4096, attention(32, 8, 128), 14336, AWQ),) * 32, quantization=BY_AWQ)
    assert packed.quantization is not None
    assert train("zero1", spec=packed) == train("zero1")


def test_the_bytes_of_a_checkpoint_do_not_change_what_is_trained() -> None:
    wide = model((dense_layer(4096, attention(32, 8, 128), 14336, WeightFormat("fp32", 32)),) * 32)
    assert train("ddp", spec=wide) == train("ddp")


def test_the_last_stage_holds_the_logits() -> None:
    logits = 8192 * 128_256 * (2 + 4 + 4)
    inputs = 8192 * 4096 * 2 * 32
    assert train("ddp", tokens=8192).activation_bytes == inputs + logits
    divided = train("ddp", layout=Layout(tp=4, dp=2), tokens=8192)
    assert divided.activation_bytes == inputs + logits // 4
    first, last = halves(SPEC)
    layout = Layout(pp=2, dp=4)
    assert train("ddp", layout=layout, stage=last, tokens=8192).activation_bytes == inputs // 2 + logits
    # Two micro-batches are in flight on the first stage, which has no head.
    ahead = train("ddp", layout=layout, stage=first, tokens=8192).activation_bytes
    assert ahead == inputs + 8192 * 4096 * 34


def test_a_head_kept_whole_keeps_whole_logits() -> None:
    assert SPEC.head is not None
    undivided = replace(SPEC, head=replace(SPEC.head, split=Split.REPLICATED))
    kept = train("ddp", spec=undivided, layout=Layout(tp=4), tokens=8192).activation_bytes
    assert (
        kept - train("ddp", layout=Layout(tp=4), tokens=8192).activation_bytes == 8192 * 128_256 * 10 * 3 // 4
    )


def test_zero3_holds_one_layer_whole_while_it_is_computed() -> None:
    a_layer = (PARAMETERS - 2 * 128_256 * 4096 - 4096) // 32
    assert train("zero3").gathered_bytes == a_layer * (2 + 2)
    assert train("zero2").gathered_bytes == train("zero3", dp=1).gathered_bytes == 0
