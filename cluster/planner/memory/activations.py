"""Peak activation memory in an engine's profile run."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.engine_profile.overheads import VisionProfile
from cluster.catalog.model_spec import AttentionKind, Layer, ModelSpec, Vision
from cluster.planner.identity_cache import IdentityCache
from cluster.planner.layout import Layout
from cluster.planner.replica import Rank, Replica
from cluster.planner.sharding import share

LOGITS_DTYPE_BYTES = 4  # engines sample in float32


@dataclass(frozen=True, slots=True)
class _WidestLayer:
    """Elements per token that the widest layer keeps alive on one rank."""

    forward: float
    workspace: float
    """Buffers of the expert kernels, which some versions keep after the forward pass."""
    state_bytes: float = 0.0
    """Bytes that the chunked kernels of state layers use, whatever the batch."""


_cache: IdentityCache[_WidestLayer] = IdentityCache()


def activation_bytes(replica: Replica, rank: Rank) -> float:
    """Return the peak bytes over the layers, the sampler and a vision tower."""
    model, launch = replica.model, replica.launch
    tokens, element_bytes = launch.max_num_batched_tokens, launch.dtype_bytes
    widest = _widest_layer(model, replica.layout, replica.engine)
    peak = tokens * widest.forward * element_bytes
    if replica.engine.activations.prompt_mask:
        group = -(-model.num_attention_heads // max(1, model.num_kv_heads))
        peak += group * tokens * launch.max_model_len * element_bytes
    if replica.layout.pp > 1:
        # Hidden states and residual of the neighboring stage.
        peak += 2 * tokens * model.hidden_size * element_bytes
    if rank.stage.is_last:
        kept = tokens * widest.workspace * element_bytes
        peak = max(peak, _sampler_peak_bytes(replica) + kept)
    peak += widest.state_bytes
    if rank.stage.is_first and model.vision:
        return _with_tower_bytes(peak, replica, model.vision)
    return peak


def _widest_layer(model: ModelSpec, layout: Layout, engine: EngineProfile) -> _WidestLayer:
    key = (layout.tp, layout.ep, engine.name, engine.version)

    def make() -> _WidestLayer:
        layers = {id(layer): layer for layer in model.layers}.values()
        each = [_layer_elements(layer, model.hidden_size, layout, engine) for layer in layers]
        return _WidestLayer(
            max((layer.forward for layer in each), default=0.0),
            max((layer.workspace for layer in each), default=0.0),
            engine.activations.state_kernel_bytes if _has_state(model) else 0.0,
        )

    return _cache.get(model, key, make)


def _has_state(model: ModelSpec) -> bool:
    return any(layer.attention.kind is AttentionKind.STATE for layer in model.layers)


def _layer_elements(layer: Layer, hidden_size: int, layout: Layout, engine: EngineProfile) -> _WidestLayer:
    activations = engine.activations
    residual = activations.residual_copies * hidden_size
    if not layer.num_experts:
        width = share(layer.intermediate_size, layout.tp)
        return _WidestLayer(activations.mlp_copies * width + residual, 0.0)
    # Two buffers, for gate and up and for the experts' outputs; each token is copied to each of its experts.
    width = layer.intermediate_size if layout.ep > 1 else share(layer.intermediate_size, layout.tp)
    buffers = layer.experts_per_token * (max(width, hidden_size) + max(2 * width, hidden_size))
    formats = {tensor.format.name for tensor in layer.tensors if tensor.is_expert}
    keeps = activations.keeps_expert_workspace and "mxfp4" not in formats
    return _WidestLayer(buffers + residual, buffers if keeps else 0.0)


def _sampler_peak_bytes(replica: Replica) -> float:
    """Return the peak of the profile's sampling step: several float32 copies of max_num_seqs x vocabulary.

    The hidden states of the forward pass are still held. Logits are gathered, so TP does not divide them.
    """
    launch, model = replica.launch, replica.model
    logits = launch.max_num_seqs * model.vocab_size * LOGITS_DTYPE_BYTES
    hidden = (launch.max_num_batched_tokens + launch.max_num_seqs) * model.hidden_size * launch.dtype_bytes
    return replica.engine.activations.logits_copies * logits + hidden


def _with_tower_bytes(peak: float, replica: Replica, tower: Vision) -> float:
    """Return the peak of a profile that runs a vision tower first.

    A tower whose largest item is known has its own peak, and its output stays in memory during the decoder's
    run. Otherwise the encoder cache and the merged embeddings stay in memory during the decoder's run.
    """
    vision, launch, tp = replica.engine.vision, replica.launch, replica.layout.tp
    a_token = replica.model.hidden_size * launch.dtype_bytes
    if not tower.item_tokens:
        encoder_cache = vision.encoder_cache if vision else None
        if encoder_cache is None:
            return peak
        budget = max(launch.max_num_batched_tokens, encoder_cache.min_tokens)
        return peak + encoder_cache.copies * budget * a_token
    if vision is None:
        return peak + tower.item_tokens * a_token
    tokens = _profiled_tokens(launch.max_model_len, vision, tower)
    split = tp if tower.num_heads % tp == 0 else 1
    copies = vision.tower_copies + vision.tower_split_copies / split
    videos = tower.video_elements * launch.dtype_bytes if vision.profiles_videos else 0
    held = max(tokens * a_token, videos)
    return max(tokens * tower.token_width * copies * launch.dtype_bytes, peak + held)


def _profiled_tokens(max_model_len: int, vision: VisionProfile, tower: Vision) -> float:
    """Return the tokens of the largest image or video that the profile runs."""
    largest_item = vision.largest_item
    image = min(tower.item_tokens, largest_item.tokens) if largest_item else tower.item_tokens
    # A video may fill a share of what the longest request leaves beside one image.
    return max(image, vision.video_context_share * (max_model_len - tower.item_tokens))
