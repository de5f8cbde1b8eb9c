"""Which part of the KV cache a tensor-parallel rank keeps, and why, as text."""

from __future__ import annotations

from cluster.catalog.model_spec import AttentionKind, ModelSpec
from cluster.planner.identity_cache import IdentityCache

_latent: IdentityCache[bool] = IdentityCache(max_entries=64)


def keeps_latent(model: ModelSpec) -> bool:
    """Return whether some layer caches a latent, which is the same on every rank."""
    return _latent.get(model, None, lambda: _looks_latent(model))


def _looks_latent(model: ModelSpec) -> bool:
    return any(layer.attention.kind is AttentionKind.LATENT for layer in model.layers)


def kv_share(model: ModelSpec, tp: int) -> str:
    """Return the share of one rank as text: KV heads are split down to one per rank, a latent never is."""
    if tp == 1:
        return "full KV cache"
    kinds = {layer.attention.kind for layer in model.layers}
    if keeps_latent(model):
        return "full KV cache (latent: the same on every rank)"
    heads = model.num_kv_heads
    if heads < 1 or kinds <= {AttentionKind.STATE, AttentionKind.NONE}:
        return f"1/{tp} state"
    if heads % tp == 0:
        return f"1/{tp} KV cache ({heads // tp} of {heads} KV heads)"
    if heads < tp:
        if heads == 1:
            return "full KV cache (one KV head, copied to every rank)"
        return f"1/{heads} KV cache (1 of {heads} KV heads, each on {tp // heads} ranks)"
    return f"{-(-heads // tp)} of {heads} KV heads' cache"
