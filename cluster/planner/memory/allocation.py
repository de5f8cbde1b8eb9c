"""What weights take on a GPU beyond their own bytes: the allocator's rounding, and copies that kernels need.

Sources: PyTorch, c10/cuda/CUDACachingAllocator.cpp (kMinLargeAlloc, kRoundLarge, kSmallSize); vLLM,
attention/backends/mla/common.py (process_weights_after_loading).
"""

from __future__ import annotations

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.model_spec import AttentionKind, Layer, Split, Tensor
from cluster.planner.sharding import ShardRules, shard_shape
from cluster.units import MIB

_ROUNDED_FROM_BYTES = 10 * MIB
_ROUNDING_BYTES = 2 * MIB
_LARGEST_KEPT_REST_BYTES = MIB
_SPLITS_OUT = (Split.COLUMN, Split.HEADS, Split.KV_HEADS)
_PLAIN_BITS = 16


def kept_rest_bytes(size_bytes: int) -> int:
    """Return the allocator's padding of a tensor: the rest of its 2 MiB block if too small to split off."""
    if size_bytes <= _ROUNDED_FROM_BYTES:
        return 0
    rest = -size_bytes % _ROUNDING_BYTES
    return rest if rest <= _LARGEST_KEPT_REST_BYTES else 0


def rounding_bytes(layer: Layer, rules: ShardRules) -> int:
    """Return the allocator's padding of one layer; engines fuse its parallel projections into one tensor."""
    return sum(kept_rest_bytes(size) for size in _tensor_sizes(layer, rules))


def _tensor_sizes(layer: Layer, rules: ShardRules) -> list[int]:
    fused: dict[tuple[str, int, int], int] = {}
    alone = []
    for tensor in layer.tensors:
        if tensor.in_features == 1:
            continue
        out, inner, copies = shard_shape(tensor, rules, layer.attention)
        size = int(out * inner * tensor.format.bits / 8) * copies
        if tensor.split in _SPLITS_OUT:
            key = (tensor.name.rpartition(".")[0], tensor.in_features, copies)
            fused[key] = fused.get(key, 0) + size
        else:
            alone.append(size)
    return [*fused.values(), *alone]


def latent_copy_bytes(layer: Layer, rules: ShardRules, engine: EngineProfile, hidden_size: int) -> int:
    """Return the bytes of the precomputed products that latent attention keeps next to its projections."""
    if layer.attention.kind is not AttentionKind.LATENT:
        return 0
    up = _named(layer, "kv_b_proj")
    if up is None:
        return 0
    out, latent, _ = shard_shape(up, rules, layer.attention)
    latent_projections = engine.weights.latent_projections
    if latent_projections == "multiplied":
        # Queries times up-projection, and values times output, each head of its own.
        heads = -(-layer.attention.num_heads // rules.tp)
        query = _named(layer, "q_b_proj") or _named(layer, "q_proj")
        width = (query.in_features if query else hidden_size) + hidden_size
        return int(heads * latent * width * min(up.format.bits, _PLAIN_BITS) / 8)
    if latent_projections == "copied_in_16_bits" and up.format.bits < _PLAIN_BITS:
        return out * latent * _PLAIN_BITS // 8
    return 0


def _named(layer: Layer, name: str) -> Tensor | None:
    return next((tensor for tensor in layer.tensors if tensor.name.endswith(f".{name}")), None)
