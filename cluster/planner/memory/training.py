"""Training memory of one rank under data parallelism and the ZeRO stages, and what a step sends.

Mixed-precision Adam keeps 2 bytes of weight and 2 of gradient a parameter, and 12 of optimizer state (float32
master weight, momentum, variance): Rajbhandari et al., "ZeRO", arXiv:1910.02054, section 3.1. Activations
follow Korthikanti et al., arXiv:2205.05198, equation 2 (34 bytes a token and hidden unit with tensor
parallelism dividing 24 of them) or, recomputed, the layers' inputs alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.layout import Layout, StageRange
from cluster.planner.memory.limits import compute_dtype_bytes
from cluster.planner.memory.weights import stage_weights_bytes
from cluster.planner.request import PlanRequest

Sharding = Literal["ddp", "zero1", "zero2", "zero3"]

GRADIENT_BYTES = 2
ADAM_STATE_BYTES = 12
ACTIVATION_WHOLE = 10
ACTIVATION_DIVIDED = 24


@dataclass(frozen=True, slots=True)
class TrainingMemory:
    """Bytes of one rank, and bytes it sends and receives a step for gradients (and ZeRO-3's weights)."""

    sharding: Sharding
    parameter_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    activation_bytes: int
    gradient_all_reduce_bytes: int
    """Size of the gradients that are reduced over the dp ranks, before any ring factor."""
    communication_bytes_per_step: int
    """Bytes one rank sends a step over its data-parallel group, ring algorithms."""

    @property
    def total_bytes(self) -> int:
        return self.parameter_bytes + self.gradient_bytes + self.optimizer_bytes + self.activation_bytes


def training_memory(
    model: ModelSpec,
    layout: Layout,
    stage: StageRange,
    engine: EngineProfile,
    request: PlanRequest,
    sharding: Sharding = "ddp",
    micro_batch: int = 1,
    recompute: bool = True,
) -> TrainingMemory:
    """Return one rank's training memory for sequences of the request's input_tokens, in bytes."""
    parameter_bytes = stage_weights_bytes(model, layout, stage, engine)
    parameters = parameter_bytes // compute_dtype_bytes(model, request)
    gradients = parameters * GRADIENT_BYTES
    ranks = layout.dp
    over_ranks = {"ddp": 0, "zero1": 1, "zero2": 2, "zero3": 3}[sharding]
    sent_share = (ranks - 1) / ranks
    # An all-reduce is a reduce-scatter and an all-gather; ZeRO-3 gathers weights twice, scatters gradients.
    sent = gradients * (3 if over_ranks == 3 else 2) * sent_share
    return TrainingMemory(
        sharding=sharding,
        parameter_bytes=parameter_bytes // (ranks if over_ranks >= 3 else 1),
        gradient_bytes=gradients // (ranks if over_ranks >= 2 else 1),
        optimizer_bytes=parameters * ADAM_STATE_BYTES // (ranks if over_ranks >= 1 else 1),
        activation_bytes=_activation_bytes(
            model, layout, stage, request.input_tokens * micro_batch, recompute
        ),
        gradient_all_reduce_bytes=gradients if ranks > 1 else 0,
        communication_bytes_per_step=int(sent),
    )


def _activation_bytes(
    model: ModelSpec, layout: Layout, stage: StageRange, tokens: int, recompute: bool
) -> int:
    per_layer = tokens * model.hidden_size * (ACTIVATION_WHOLE + ACTIVATION_DIVIDED / layout.tp)
    # One micro-batch for each stage that is still ahead is in flight.
    in_flight = max(1, layout.pp - stage.stage)
    if recompute:
        inputs = tokens * model.hidden_size * 2 * stage.num_layers
        return int(inputs * in_flight + per_layer)
    return int(per_layer * stage.num_layers * in_flight)
