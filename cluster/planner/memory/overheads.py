"""What an engine needs beside weights and cache: activation peak, CUDA graphs, memory outside torch."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.model_spec import AttentionKind, Layer, ModelSpec, Vision
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

    @property
    def total_bytes(self) -> int:
        return self.activation_bytes + self.cuda_graph_bytes + self.non_torch_bytes


@dataclass(frozen=True, slots=True)
class _WidestLayer:
    """Elements a token that the widest layer keeps alive on one rank."""

    forward: float
    workspace: float
    """Buffers of the expert kernels, which some versions keep after the forward pass."""
    state_bytes: float = 0.0
    """What the chunked kernels of state layers hold, whatever the batch."""


_cache: IdentityCache[_WidestLayer] = IdentityCache()


def overheads(
    model: ModelSpec,
    layout: Layout,
    stage: StageRange,
    engine: EngineProfile,
    limits: EngineLimits,
    dtype_bytes: int,
    eager: bool,
    capability: tuple[int, int] | None = None,
    switched: bool = True,
) -> Overheads:
    """Return a rank's overheads from the engine's constants; `capability` is the GPU's, where known.

    `switched`: the GPUs of a node are joined by an NVLink switch.
    """
    widest = _widest_layer(model, layout, engine)
    tokens = limits.max_num_batched_tokens
    activation = tokens * widest.forward * dtype_bytes
    if engine.constants.get("prompt_mask", 0):
        group = -(-model.num_attention_heads // max(1, model.num_kv_heads))
        activation += group * tokens * limits.max_model_len * dtype_bytes
    if layout.pp > 1:
        # Hidden states and residual of the neighbouring stage.
        activation += 2 * tokens * model.hidden_size * dtype_bytes
    if stage.is_last:
        kept = tokens * widest.workspace * dtype_bytes
        activation = max(activation, sampler_peak_bytes(model, engine, limits, dtype_bytes) + kept)
    activation += widest.state_bytes
    if stage.is_first and model.vision:
        activation = with_vision_bytes(activation, model, model.vision, layout, engine, limits, dtype_bytes)
    return Overheads(
        activation_bytes=int(activation),
        cuda_graph_bytes=0 if eager else int(graph_bytes(model, stage, engine, limits)),
        non_torch_bytes=int(non_torch_bytes(layout, engine, capability, switched)),
    )


def _widest_layer(model: ModelSpec, layout: Layout, engine: EngineProfile) -> _WidestLayer:
    key = (layout.tp, layout.ep, engine.name, engine.version)

    def make() -> _WidestLayer:
        layers = {id(layer): layer for layer in model.layers}.values()
        each = [_layer_elements(layer, model.hidden_size, layout, engine) for layer in layers]
        return _WidestLayer(
            max((layer.forward for layer in each), default=0.0),
            max((layer.workspace for layer in each), default=0.0),
            engine.constants.get("state_profile_bytes", 0) if _has_state(model) else 0.0,
        )

    return _cache.get(model, key, make)


def _has_state(model: ModelSpec) -> bool:
    return any(layer.attention.kind is AttentionKind.STATE for layer in model.layers)


def with_vision_bytes(
    activation: float,
    model: ModelSpec,
    vision: Vision,
    layout: Layout,
    engine: EngineProfile,
    limits: EngineLimits,
    dtype_bytes: int,
) -> float:
    """Return the peak of a profile that runs a vision tower first.

    A tower whose largest item is known has a peak of its own, and the decoder's run holds what it put out.
    Else the encoder's cache and the merged embeddings lie beside the decoder's run.
    """
    constants = engine.constants
    if not vision.item_tokens:
        budget = max(limits.max_num_batched_tokens, constants.get("vision_least_tokens", 0))
        return activation + constants.get("vision_copies", 0) * budget * model.hidden_size * dtype_bytes
    tokens = min(vision.item_tokens, constants.get("vision_item_most_tokens", vision.item_tokens))
    # A film may fill a share of what the longest request leaves beside one image.
    tokens = max(tokens, constants.get("video_share", 0) * (limits.max_model_len - vision.item_tokens))
    split = layout.tp if vision.num_heads % layout.tp == 0 else 1
    copies = constants.get("tower_copies", 0) + constants.get("tower_split_copies", 0) / split
    peak = tokens * vision.token_width * copies * dtype_bytes
    return max(peak, activation + tokens * model.hidden_size * dtype_bytes)


def _layer_elements(layer: Layer, hidden_size: int, layout: Layout, engine: EngineProfile) -> _WidestLayer:
    constants = engine.constants
    residual = constants.get("residual_copies", 3) * hidden_size
    if not layer.num_experts:
        width = share(layer.intermediate_size, layout.tp)
        return _WidestLayer(constants.get("mlp_copies", 3) * width + residual, 0.0)
    # Two buffers, for gate and up and for the experts' outputs; each token is copied to each of its experts.
    width = layer.intermediate_size if layout.ep > 1 else share(layer.intermediate_size, layout.tp)
    buffers = layer.experts_per_token * (max(width, hidden_size) + max(2 * width, hidden_size))
    formats = {tensor.format.name for tensor in layer.tensors if tensor.is_expert}
    kept = constants.get("moe_workspace_kept", 0) if "mxfp4" not in formats else 0
    return _WidestLayer(buffers + residual, kept * buffers)


def sampler_peak_bytes(
    model: ModelSpec, engine: EngineProfile, limits: EngineLimits, dtype_bytes: int
) -> float:
    """Return the peak of the profile's sampling step: several float32 copies of max_num_seqs x vocabulary.

    The hidden states of the forward pass are still held. Logits are gathered, so TP does not divide them.
    """
    logits = limits.max_num_seqs * model.vocab_size * LOGITS_DTYPE_BYTES
    hidden = (limits.max_num_batched_tokens + limits.max_num_seqs) * model.hidden_size * dtype_bytes
    return engine.constants.get("sampler_logits_copies", 0) * logits + hidden


def graph_bytes(model: ModelSpec, stage: StageRange, engine: EngineProfile, limits: EngineLimits) -> float:
    """Return the memory of captured CUDA graphs: a share a layer for each captured batch size.

    Engines capture decoding whole, prefill mixed with decoding in pieces between attentions, or both.
    """
    constants = engine.constants
    captured = constants.get("graphs_in_pieces", 0) * _captured_sizes(min(2 * limits.max_num_seqs, 512))
    captured += constants.get("graphs_whole", 0) * _captured_sizes(min(limits.max_num_seqs, 512))
    piece = constants.get("graph_piece_bytes", 0) + constants.get("graph_hidden_bytes", 0) * model.hidden_size
    return piece * captured * stage.num_layers


def _captured_sizes(largest: int) -> int:
    """Return how many batch sizes vLLM captures up to `largest`: 1, 2, 4, every 8th to 256, every 16th on."""
    return (
        sum(size <= largest for size in (1, 2, 4))
        + min(largest, 255) // 8
        + ((largest - 256) // 16 + 1 if largest >= 256 else 0)
    )


def non_torch_bytes(
    layout: Layout, engine: EngineProfile, capability: tuple[int, int] | None, switched: bool = True
) -> float:
    """Return memory that torch does not allocate: libraries, NCCL's buffers, fused all-reduce workspaces."""
    constants = engine.constants
    base = constants.get("non_torch_base_bytes", 0)
    if capability:
        base = constants.get(f"non_torch_base_bytes_{capability[0]}", base)
    if layout.tp == 1:
        # vLLM counts the libraries' share at the first collective of a pipeline, before its measurement.
        return base if layout.pp == 1 else constants.get("non_torch_pipeline_bytes", 0)
    if not switched and (plain := constants.get("unswitched_all_reduce_bytes", 0)):
        return base + plain
    size = base + constants.get("all_reduce_base_bytes", 0)
    size += constants.get("all_reduce_peer_bytes", 0) * (layout.tp - 2)
    if capability:
        size += constants.get(f"fused_all_reduce_bytes_{capability[0]}", 0)
        if layout.tp > 2 and switched:
            # NCCL reduces in the NVLink switch among more than two GPUs.
            size += constants.get(f"switch_reduce_bytes_{capability[0]}", 0)
    return size
