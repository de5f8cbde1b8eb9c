"""Sum a rank's work over the layers of a stage; equal layers are counted, not repeated."""

from __future__ import annotations

from collections import Counter, defaultdict

from cluster.catalog.model_spec import Attention, AttentionKind, Layer, ModelSpec, Tensor, WeightFormat
from cluster.planner.cost.work import CacheWork, DenseWork, ExpertWork, StageWork, WorkKey
from cluster.planner.identity_cache import IdentityCache
from cluster.planner.layout import Layout
from cluster.planner.sharding import ShardRules, kv_heads_on_rank, shard_bytes, shard_shape, share

_reduce_counts: IdentityCache[int] = IdentityCache()


def stage_work(model: ModelSpec, key: WorkKey) -> StageWork:
    """Return the bytes and FLOPs of a rank in the stage that `key` names."""
    counts: Counter[int] = Counter()
    layers: dict[int, Layer] = {}
    for layer in model.layers[key.first : key.end]:
        counts[id(layer)] += 1
        layers[id(layer)] = layer
    sums = _Sums(model, key)
    for identity, count in counts.items():
        sums.add_layer(layers[identity], count)
    return sums.finish()


class _Sums:
    """Running sums of one stage."""

    def __init__(self, model: ModelSpec, key: WorkKey) -> None:
        self.model, self.key = model, key
        self.rules = ShardRules(tp=key.tp, expert_ranks=key.expert_ranks)
        self.dense: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
        self.head: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
        self.experts: dict[tuple[str, str, int, float], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
        self.caches: dict[int | None, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
        self.state_bytes = 0.0
        self.num_expert_layers = self.num_latent_layers = 0
        self.all_reduces = 1 if key.is_first else 0

    def add_layer(self, layer: Layer, count: int) -> None:
        for tensor in layer.tensors:
            if tensor.in_features == 1 and not tensor.is_expert:
                continue  # norms and biases: part of the activation passes
            if tensor.is_expert:
                self._add_experts(tensor, layer, count)
            else:
                self._add_dense(self.dense, tensor, layer.attention, count)
        self._add_attention(layer.attention, count)
        self.num_expert_layers += count if layer.num_experts else 0
        self.num_latent_layers += count if layer.attention.kind is AttentionKind.LATENT else 0
        self.all_reduces += count * _reduces_in(layer)

    def _add_dense(
        self,
        sums: dict[tuple[str, str], list[float]],
        tensor: Tensor,
        attention: Attention | None,
        count: int,
    ) -> None:
        out, inner, copies = shard_shape(tensor, self.rules, attention)
        active = min(tensor.active_copies, copies)
        entry = sums[self._dtype(tensor), tensor.format.name]
        entry[0] += shard_bytes(tensor, self.rules, attention) * count
        entry[1] += 2.0 * out * inner * active * count

    def _add_experts(self, tensor: Tensor, layer: Layer, count: int) -> None:
        out, inner, copies = shard_shape(tensor, self.rules, layer.attention)
        hit_share = tensor.active_copies / tensor.copies
        entry = self.experts[self._dtype(tensor), tensor.format.name, copies, hit_share]
        entry[0] += shard_bytes(tensor, self.rules, layer.attention) / copies * count
        if tensor.in_features > 1:
            entry[1] += 2.0 * out * inner * hit_share * copies * count
            entry[2] += 2.0 * (out + inner) * hit_share * copies * count

    def _add_attention(self, attention: Attention, count: int) -> None:
        if attention.kind is AttentionKind.NONE:
            return
        if attention.kind is AttentionKind.STATE:
            state = attention.state_elements * attention.state_dtype_bytes
            conv = attention.conv_elements * attention.conv_dtype_bytes
            self.state_bytes += 2.0 * (state + conv) / self.key.tp * count
            return
        heads = share(attention.num_heads, self.key.tp)
        v_dim = attention.v_head_dim or attention.head_dim
        entry = self.caches[attention.window]
        entry[0] += self._cache_bytes(attention, v_dim) * count
        latent = attention.kind is AttentionKind.LATENT
        entry[1] += 2.0 * heads * (2 * attention.latent_dim if latent else attention.head_dim + v_dim) * count
        entry[2] += 2.0 * heads * (attention.head_dim + v_dim) * count

    def _cache_bytes(self, attention: Attention, v_dim: int) -> float:
        index = attention.index_dim * attention.index_bytes
        if attention.kind is AttentionKind.LATENT:
            kept = attention.latent_dim * self.key.kv_bytes
        else:
            heads = kv_heads_on_rank(attention.num_kv_heads, self.key.tp)
            kept = heads * (attention.head_dim + v_dim) * self.key.kv_bytes
        return kept / attention.compress_ratio + index

    def _dtype(self, tensor: Tensor) -> str:
        return _compute_dtype(self.model, tensor.format, self.key.native)

    def finish(self) -> StageWork:
        model, key = self.model, self.key
        if key.is_last:
            self._add_dense(self.head, model.head or model.embedding, None, 1)
        num_layers = key.end - key.first
        width = 2.0 * model.hidden_size
        return StageWork(
            num_layers=num_layers,
            num_expert_layers=self.num_expert_layers,
            num_latent_layers=self.num_latent_layers,
            dense=tuple(DenseWork(*name, *sums) for name, sums in self.dense.items()),
            head=tuple(DenseWork(*name, *sums) for name, sums in self.head.items()),
            experts=tuple(ExpertWork(*name, *sums) for name, sums in self.experts.items()),
            caches=tuple(CacheWork(window, *sums) for window, sums in self.caches.items()),
            state_bytes=self.state_bytes,
            activation_bytes_per_token=width * num_layers,
            hidden_bytes_per_token=width,
            all_reduces=self.all_reduces if key.tp > 1 else 0,
        )


def _compute_dtype(model: ModelSpec, stored: WeightFormat, native: frozenset[str]) -> str:
    """Return the dtype of the matrix product: the activations' where quantized and native, else 16-bit."""
    activations = model.quantization.activation_dtype if model.quantization else None
    if stored.bits < 16 and activations is not None and activations in native:
        return activations
    if model.dtype in native:
        return model.dtype
    return "fp16" if "fp16" in native else "fp32"


def all_reduces_per_token(model: ModelSpec, layout: Layout) -> int:
    """Return the all-reduces one decoded token waits for in its layers: 0 without TP, else one after every
    mixer and one after every MLP. The embedding's own, once a step, is timed but not counted here."""
    if layout.tp <= 1:
        return 0
    return _reduce_counts.get(model, None, lambda: sum(_reduces_in(layer) for layer in model.layers))


def _reduces_in(layer: Layer) -> int:
    """Return the all-reduces of a layer under TP: after the mixer, and after the MLP or experts."""
    mixer = layer.attention.kind is not AttentionKind.NONE
    mlp = layer.num_experts > 0 or layer.intermediate_size > 0
    return int(mixer) + int(mlp)
