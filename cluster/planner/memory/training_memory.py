"""Training memory of one rank under data parallelism and the ZeRO stages, and what a step sends.

Mixed-precision Adam keeps 2 bytes of weight and 2 of gradient per parameter, and 12 of optimizer state
(float32 master weight, momentum, variance): Rajbhandari et al., "ZeRO", arXiv:1910.02054, section 3.1.
Activations follow Korthikanti et al., arXiv:2205.05198, equation 2 (34 bytes per token and hidden unit with
tensor parallelism dividing 24 of them) or, recomputed, the layers' inputs alone. What a step sends is in
sections 7.1 and 7.2 of the ZeRO paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cluster.catalog.engine_catalog import load_trainer
from cluster.catalog.model_spec import ModelSpec, Split
from cluster.planner.layout import Layout, StageRange
from cluster.planner.memory.trained import PARAMETER_BYTES, in_16_bits
from cluster.planner.memory.weights import sharded_weights, stage_weights_bytes

Sharding = Literal["ddp", "zero1", "zero2", "zero3"]

GRADIENT_BYTES = 2
ADAM_STATE_BYTES = 12
ACTIVATION_WHOLE = 10
ACTIVATION_DIVIDED = 24
LOGIT_BYTES = 2 + 4 + 4
"""A logit in 16 bits, its copy in float32 for the loss, and the gradient of that copy."""
RING_PASSES = {"ddp": 2, "zero1": 2, "zero2": 2, "zero3": 3}
"""Times a step sends the bytes of all gradients around the ring.

An all-reduce is a reduce-scatter and an all-gather, and ZeRO-1 and ZeRO-2 do one of gradients and one of
parameters; ZeRO-3 gathers the parameters twice, forward and backward, and scatters the gradients.
"""


@dataclass(frozen=True, slots=True)
class TrainingSetup:
    """How a model is trained: its layout, how the state is divided, and one micro-batch."""

    model: ModelSpec
    layout: Layout
    micro_batch_tokens: int
    sharding: Sharding = "ddp"
    recompute: bool = True
    """Activations inside a layer are recomputed in the backward pass."""


@dataclass(frozen=True, slots=True)
class TrainingMemory:
    """Bytes of one rank, and bytes it sends per step for gradients (and ZeRO-3's weights)."""

    sharding: Sharding
    parameter_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    activation_bytes: int
    gathered_bytes: int
    """ZeRO-3 only: the layer that is being computed, whole, and its gradients before they are scattered."""
    gradient_all_reduce_bytes: int
    """Size of the gradients that are reduced over the dp ranks, before any ring factor."""
    communication_bytes_per_step: int
    """Bytes one rank sends per step over its data-parallel group, with ring algorithms."""

    @property
    def total_bytes(self) -> int:
        state = self.parameter_bytes + self.gradient_bytes + self.optimizer_bytes
        return state + self.activation_bytes + self.gathered_bytes


def training_memory(setup: TrainingSetup, stage: StageRange) -> TrainingMemory:
    """Return the training memory of one of the stage's ranks, in bytes.

    Parameters are counted, not the bytes of the checkpoint: a quantized model is trained in 16 bits.
    """
    layout, sharding = setup.layout, setup.sharding
    parameter_bytes = stage_weights_bytes(in_16_bits(setup.model), layout, stage, load_trainer())
    parameters = parameter_bytes // PARAMETER_BYTES
    gradients = parameters * GRADIENT_BYTES
    ranks = layout.dp
    over_ranks = {"ddp": 0, "zero1": 1, "zero2": 2, "zero3": 3}[sharding]
    sent = gradients * RING_PASSES[sharding] * (ranks - 1) // ranks
    return TrainingMemory(
        sharding=sharding,
        parameter_bytes=parameter_bytes // (ranks if over_ranks >= 3 else 1),
        gradient_bytes=gradients // (ranks if over_ranks >= 2 else 1),
        optimizer_bytes=parameters * ADAM_STATE_BYTES // (ranks if over_ranks >= 1 else 1),
        activation_bytes=_activation_bytes(setup, stage),
        gathered_bytes=_gathered_bytes(setup, stage) if over_ranks == 3 and ranks > 1 else 0,
        gradient_all_reduce_bytes=gradients if ranks > 1 else 0,
        communication_bytes_per_step=sent,
    )


def _gathered_bytes(setup: TrainingSetup, stage: StageRange) -> int:
    """Return what ZeRO-3 gathers and scatters per layer: twice the largest layer of the stage."""
    weights = sharded_weights(in_16_bits(setup.model), setup.layout, load_trainer())
    sums = weights.cumulative_layer_bytes
    largest = max(sums[layer + 1] - sums[layer] for layer in range(stage.first, stage.end))
    return largest * (PARAMETER_BYTES + GRADIENT_BYTES) // PARAMETER_BYTES


def _activation_bytes(setup: TrainingSetup, stage: StageRange) -> int:
    """Return the activation bytes that the backward pass needs.

    With recomputation the peak is the inputs of all layers and either one layer's recomputed activations or,
    on the last stage, the logits: those are freed before the first layer is recomputed.
    """
    tokens, hidden_size, layout = setup.micro_batch_tokens, setup.model.hidden_size, setup.layout
    per_layer = tokens * hidden_size * (ACTIVATION_WHOLE + ACTIVATION_DIVIDED / layout.tp)
    logits = _logits_bytes(setup) if stage.is_last else 0.0
    # One micro-batch for each stage that is still ahead is in flight.
    in_flight = max(1, layout.pp - stage.stage)
    if setup.recompute:
        inputs = tokens * hidden_size * 2 * stage.num_layers
        return int(inputs * in_flight + max(per_layer, logits))
    return int(per_layer * stage.num_layers * in_flight + logits)


def _logits_bytes(setup: TrainingSetup) -> float:
    """Return the bytes of the logits under a loss that is not fused with the head.

    Tensor parallelism divides them as it divides the head: the loss is then taken over parts of the
    vocabulary.
    """
    head = setup.model.head or setup.model.embedding
    ranks = setup.layout.tp if head.split is Split.VOCAB else 1
    return setup.micro_batch_tokens * setup.model.vocab_size * LOGIT_BYTES / ranks
