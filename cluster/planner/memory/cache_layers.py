"""What each layer keeps in the KV cache on one rank, and how many layers of a stage keep the same."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.engine_profile.stored import Cache
from cluster.catalog.model_spec import Attention, AttentionKind
from cluster.planner.identity_cache import IdentityCache
from cluster.planner.layout import StageRange
from cluster.planner.replica import Replica
from cluster.planner.sharding import kv_heads_on_rank, share

_PAGED_KINDS = (AttentionKind.FULL, AttentionKind.SLIDING, AttentionKind.CHUNKED)


@dataclass(frozen=True, slots=True)
class CacheLayer:
    """One layer's cache on one rank: bytes that grow with tokens, up to a window, or bytes per sequence."""

    bytes_per_token: float = 0.0
    window: int | None = None
    """Maximum tokens that the layer keeps; None: all."""
    state_bytes: int = 0
    """Bytes per sequence, whatever its length."""
    in_flight_bytes: float = 0.0
    """Extra bytes per token being computed: states that compress several tokens into one entry."""

    def sequence_bytes(self, tokens: int, in_flight_tokens: int = 0) -> float:
        """Return the bytes a sequence of `tokens` keeps; a window also holds the tokens being computed."""
        kept = tokens if self.window is None else min(tokens, self.window + in_flight_tokens)
        in_flight = self.in_flight_bytes * min(tokens, in_flight_tokens)
        return self.bytes_per_token * kept + self.state_bytes + in_flight


CacheLayers = tuple[tuple[CacheLayer, int], ...]
"""(what a layer keeps, how many layers keep just that), layers without a cache left out."""

_cache: IdentityCache[CacheLayers] = IdentityCache()


def cache_layers(replica: Replica, stage: StageRange) -> CacheLayers:
    """Return what the layers of a stage keep on one rank of the replica."""
    model, engine, launch = replica.model, replica.engine, replica.launch
    tp, ranks = replica.layout.tp, launch.decode_context_parallel
    element_bytes, packs_sparse = launch.cache_element_bytes, launch.packs_sparse_latents
    key = (tp, stage.first, stage.end, element_bytes, packs_sparse, ranks, engine.name, engine.version)

    def make() -> CacheLayers:
        kept = (
            cache_layer(layer.attention, tp, element_bytes, engine, packs_sparse)
            for layer in model.layers[stage.first : stage.end]
        )
        counted = Counter(_divided(layer, ranks) for layer in kept if layer is not None)
        return tuple(counted.items())

    return _cache.get(model, key, make)


def _divided(layer: CacheLayer, ranks: int) -> CacheLayer:
    """Return a rank's share if ranks split the tokens of a sequence; recurrent states are not split."""
    return layer if ranks == 1 else replace(layer, bytes_per_token=layer.bytes_per_token / ranks)


def cache_layer(
    attention: Attention, tp: int, element_bytes: float, engine: EngineProfile, packs_sparse: bool = True
) -> CacheLayer | None:
    """Return what one layer keeps on one rank; None for a layer that keeps nothing of its own.

    `packs_sparse`: latents that a sparse indexer reads may be kept in the engine's own packed form.
    """
    if attention.kv_shared or attention.kind is AttentionKind.NONE:
        return None
    if attention.kind is AttentionKind.STATE:
        state = share(attention.state_elements, tp) * attention.state_dtype_bytes
        return CacheLayer(
            state_bytes=int(state + share(attention.conv_elements, tp) * attention.conv_dtype_bytes)
        )
    if attention.kind in _PAGED_KINDS:
        heads = kv_heads_on_rank(attention.num_kv_heads, tp)
        per_token = (
            heads * (attention.head_dim + (attention.v_head_dim or attention.head_dim)) * element_bytes
        )
        per_token += attention.index_dim * attention.index_bytes
        bounded = attention.kind is not AttentionKind.FULL and engine.cache.frees_beyond_window
        return CacheLayer(per_token / attention.compress_ratio, attention.window if bounded else None)
    return _latent_layer(attention, tp, element_bytes, engine.cache, packs_sparse)


def _latent_layer(
    attention: Attention, tp: int, element_bytes: float, cache: Cache, packs_sparse: bool
) -> CacheLayer:
    if cache.full_latents is not None:
        # Without a kernel for the latent, keys and values are made in full, heads padded to a kernel's size.
        return CacheLayer(share(attention.num_heads, tp) * 2 * cache.full_latents.head_dim * element_bytes)
    step = cache.latent_alignment_bytes
    latent = math.ceil(attention.latent_dim * element_bytes / step) * step
    if packs_sparse and cache.packed_latents and (attention.index_dim or attention.compress_ratio > 1):
        latent = cache.packed_latents.entry_bytes
    per_token = (latent + attention.index_dim * attention.index_bytes) / attention.compress_ratio
    return CacheLayer(per_token, in_flight_bytes=_compressor_bytes(attention, latent, cache))


def _compressor_bytes(attention: Attention, latent_bytes: float, cache: Cache) -> float:
    """Return what a compressing layer holds a token being computed: its window entry and the float32 states.

    Each entry needs a value and a gate; entries that an indexer picks overlap, and so does the indexer's own.
    """
    if attention.compress_ratio == 1:
        return 0.0
    overlap = 2 if attention.index_dim else 1
    states = 2 * overlap * 4 * (attention.latent_dim + attention.index_dim)
    return cache.compressor_state_factor * (states + latent_bytes)
