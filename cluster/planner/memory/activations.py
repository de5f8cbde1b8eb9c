"""The peak of activations that an engine's profile run sees."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.model_spec import AttentionKind, Layer, ModelSpec, Vision
from cluster.planner.identity_cache import IdentityCache
from cluster.planner.layout import Layout
from cluster.planner.memory.on_gpu import RankOnGpu
from cluster.planner.sharding import share

LOGITS_DTYPE_BYTES = 4  # engines sample in float32


@dataclass(frozen=True, slots=True)
class _WidestLayer:
    """Elements a token that the widest layer keeps alive on one rank."""

    forward: float
    workspace: float
    """Buffers of the expert kernels, which some versions keep after the forward pass."""
    state_bytes: float = 0.0
    """What the chunked kernels of state layers hold, whatever the batch."""


_cache: IdentityCache[_WidestLayer] = IdentityCache()


def activation_bytes(rank: RankOnGpu) -> float:
    """Return the largest of what the layers, the sampler and a vision tower hold at once, in bytes."""
    model, tokens = rank.model, rank.limits.max_num_batched_tokens
    widest = _widest_layer(model, rank.layout, rank.engine)
    peak = tokens * widest.forward * rank.dtype_bytes
    if rank.constant("prompt_mask"):
        group = -(-model.num_attention_heads // max(1, model.num_kv_heads))
        peak += group * tokens * rank.limits.max_model_len * rank.dtype_bytes
    if rank.layout.pp > 1:
        # Hidden states and residual of the neighbouring stage.
        peak += 2 * tokens * model.hidden_size * rank.dtype_bytes
    if rank.stage.is_last:
        kept = tokens * widest.workspace * rank.dtype_bytes
        peak = max(peak, _sampler_peak_bytes(rank) + kept)
    peak += widest.state_bytes
    if rank.stage.is_first and model.vision:
        return _with_tower_bytes(peak, rank, model.vision)
    return peak


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


def _sampler_peak_bytes(rank: RankOnGpu) -> float:
    """Return the peak of the profile's sampling step: several float32 copies of max_num_seqs x vocabulary.

    The hidden states of the forward pass are still held. Logits are gathered, so TP does not divide them.
    """
    limits, model = rank.limits, rank.model
    logits = limits.max_num_seqs * model.vocab_size * LOGITS_DTYPE_BYTES
    hidden = (limits.max_num_batched_tokens + limits.max_num_seqs) * model.hidden_size * rank.dtype_bytes
    return rank.constant("sampler_logits_copies") * logits + hidden


def _with_tower_bytes(peak: float, rank: RankOnGpu, vision: Vision) -> float:
    """Return the peak of a profile that runs a vision tower first.

    A tower whose largest item is known has a peak of its own, and the decoder's run holds what it put out.
    Else the encoder's cache and the merged embeddings lie beside the decoder's run.
    """
    a_token = rank.model.hidden_size * rank.dtype_bytes
    if not vision.item_tokens:
        budget = max(rank.limits.max_num_batched_tokens, rank.constant("vision_least_tokens"))
        return peak + rank.constant("vision_copies") * budget * a_token
    tokens = min(vision.item_tokens, rank.constant("vision_item_most_tokens", vision.item_tokens))
    # A film may fill a share of what the longest request leaves beside one image.
    tokens = max(tokens, rank.constant("video_share") * (rank.limits.max_model_len - vision.item_tokens))
    split = rank.layout.tp if vision.num_heads % rank.layout.tp == 0 else 1
    copies = rank.constant("tower_copies") + rank.constant("tower_split_copies") / split
    return max(tokens * vision.token_width * copies * rank.dtype_bytes, peak + tokens * a_token)
