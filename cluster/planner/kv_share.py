"""Which part of the KV cache a tensor-parallel rank keeps, and why."""

from __future__ import annotations

from cluster.catalog.model_spec import AttentionKind, ModelSpec


def kv_share(model: ModelSpec, tp: int) -> str:
    """Say the share of one rank: heads are split while there are some for each rank, a latent never is."""
    if tp == 1:
        return "full KV cache"
    kinds = {layer.attention.kind for layer in model.layers}
    if AttentionKind.LATENT in kinds:
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
