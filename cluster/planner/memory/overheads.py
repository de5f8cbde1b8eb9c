"""What an engine needs beside weights and cache: activation peak, CUDA graphs, memory outside torch."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.model_spec import Layer, ModelSpec
from cluster.planner.identity_cache import IdentityCache
from cluster.planner.layout import Layout, StageRange
from cluster.planner.memory.limits import EngineLimits
from cluster.planner.sharding import share

LOGITS_DTYPE_BYTES = 4  # engines sample in float32


@dataclass(frozen=True, slots=True)
class Overheads:
    """Bytes of one rank."""

    activation_bytes: int
    cuda_graph_bytes: int
    non_torch_bytes: int


_cache: IdentityCache[int] = IdentityCache()


def overheads(
    model: ModelSpec,
    layout: Layout,
    stage: StageRange,
    engine: EngineProfile,
    limits: EngineLimits,
    dtype_bytes: int,
    eager: bool,
) -> Overheads:
    """Return a rank's overheads from the engine's constants."""
    forward = forward_peak_bytes(model, layout, engine, limits, dtype_bytes)
    sampler = sampler_peak_bytes(model, engine, limits, dtype_bytes) if stage.is_last else 0
    vision = vision_peak_bytes(model, engine) if stage.is_first else 0
    base = engine.constants.get("activation_base_bytes", 0)
    return Overheads(
        activation_bytes=int(max(forward, sampler) + vision + base),
        cuda_graph_bytes=0 if eager else int(graph_bytes(stage, engine)),
        non_torch_bytes=int(non_torch_bytes(layout, engine)),
    )


def forward_peak_bytes(
    model: ModelSpec, layout: Layout, engine: EngineProfile, limits: EngineLimits, dtype_bytes: int
) -> float:
    """Return the largest live activations of one forward pass of `max_num_batched_tokens` tokens.

    The peak is in the widest MLP: gate and up, their product, and the residual stream.
    """
    key = (layout.tp, layout.ep, engine.name, engine.version, limits.max_num_batched_tokens, dtype_bytes)

    def make() -> int:
        widest = max(
            (
                _layer_peak_elements(layer, model.hidden_size, layout, engine)
                for layer in {id(layer): layer for layer in model.layers}.values()
            ),
            default=0.0,
        )
        return int(limits.max_num_batched_tokens * widest * dtype_bytes)

    return _cache.get(model, key, make)


def _layer_peak_elements(layer: Layer, hidden_size: int, layout: Layout, engine: EngineProfile) -> float:
    constants = engine.constants
    residual = constants.get("residual_copies", 3) * hidden_size
    width = layer.intermediate_size
    if not layer.num_experts:
        return constants.get("mlp_copies", 3) * share(width, layout.tp) + residual
    # Every token is copied to each of its experts: gate and up, product, and the experts' outputs.
    rank_width = width if layout.ep > 1 else share(width, layout.tp)
    per_expert = max(2 * rank_width, hidden_size) + rank_width
    spread = layer.experts_per_token / (layout.ep if layout.ep > 1 else 1)
    return max(1.0, spread) * per_expert * constants.get("moe_copies", 1) + residual


def sampler_peak_bytes(
    model: ModelSpec, engine: EngineProfile, limits: EngineLimits, dtype_bytes: int
) -> float:
    """Return the peak of the profile's sampling step: several float32 copies of max_num_seqs x vocabulary.

    The hidden states of the forward pass are still held then. Logits are gathered, so TP does not divide them.
    """
    logits = limits.max_num_seqs * model.vocab_size * LOGITS_DTYPE_BYTES
    hidden = (limits.max_num_batched_tokens + limits.max_num_seqs) * model.hidden_size * dtype_bytes
    return engine.constants.get("sampler_logits_copies", 0) * logits + hidden


def vision_peak_bytes(model: ModelSpec, engine: EngineProfile) -> float:
    """Return what the profile of a vision tower holds: the encoder's cache and its own activations."""
    return engine.constants.get("vision_profile_bytes", 0) if model.vision else 0.0


def graph_bytes(stage: StageRange, engine: EngineProfile) -> float:
    """Return the memory of captured CUDA graphs, which grows with the layers of the stage."""
    constants = engine.constants
    return constants.get("graph_base_bytes", 0) + constants.get("graph_layer_bytes", 0) * stage.num_layers


def non_torch_bytes(layout: Layout, engine: EngineProfile) -> float:
    """Return memory that torch does not allocate: libraries, and NCCL's buffers that grow with the group."""
    constants = engine.constants
    size = constants.get("non_torch_base_bytes", 0)
    if layout.gpus_per_replica > 1:
        size += constants.get("nccl_base_bytes", 0)
    if layout.tp > 1:
        size += constants.get("nccl_peer_bytes", 0) * (layout.tp - 1)
    return size
