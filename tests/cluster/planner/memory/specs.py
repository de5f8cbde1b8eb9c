"""Small model descriptions made by hand, so that every figure can be checked on paper."""

from __future__ import annotations

from typing import Any

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.model_spec import (
    Attention,
    AttentionKind,
    Layer,
    ModelSpec,
    Quantization,
    Split,
    Tensor,
    WeightFormat,
)
from cluster.planner.launch import launch_on
from cluster.planner.layout import Layout, StageRange
from cluster.planner.replica import Rank, RankGpu, Replica
from cluster.planner.request import PlanRequest
from cluster.units import GIB

BF16 = WeightFormat("bf16", 16)
AWQ = WeightFormat("int4", 4, group_size=128, scale_bytes_per_group=2.5)
FP8_BLOCK = WeightFormat("fp8", 8, block=(128, 128), scale_bytes_per_group=4)


def attention(
    heads: int, kv_heads: int, head_dim: int, kind: AttentionKind = AttentionKind.FULL
) -> Attention:
    return Attention(kind, num_heads=heads, num_kv_heads=kv_heads, head_dim=head_dim)


def dense_layer(hidden: int, mixer: Attention, width: int, weight: WeightFormat = BF16) -> Layer:
    q, kv = mixer.num_heads * mixer.head_dim, mixer.num_kv_heads * mixer.head_dim
    tensors = (
        Tensor("q_proj", q, hidden, Split.HEADS, weight),
        Tensor("k_proj", kv, hidden, Split.KV_HEADS, weight),
        Tensor("v_proj", kv, hidden, Split.KV_HEADS, weight),
        Tensor("o_proj", hidden, q, Split.HEADS_IN, weight),
        Tensor("gate_proj", width, hidden, Split.COLUMN, weight),
        Tensor("up_proj", width, hidden, Split.COLUMN, weight),
        Tensor("down_proj", hidden, width, Split.ROW, weight),
        Tensor("input_norm", hidden, 1, Split.REPLICATED, BF16),
        Tensor("post_norm", hidden, 1, Split.REPLICATED, BF16),
    )
    return Layer(mixer, tensors, intermediate_size=width)


def expert_layer(
    hidden: int, mixer: Attention, width: int, experts: int, weight: WeightFormat = BF16
) -> Layer:
    base = dense_layer(hidden, mixer, width)
    kept = tuple(tensor for tensor in base.tensors if "_proj" not in tensor.name or tensor.name[0] in "qkvo")
    routed = tuple(
        Tensor(name, out, inner, split, weight, copies=experts, is_expert=True, active_copies=2)
        for name, out, inner, split in (
            ("experts.gate", width, hidden, Split.COLUMN),
            ("experts.up", width, hidden, Split.COLUMN),
            ("experts.down", hidden, width, Split.ROW),
        )
    )
    return Layer(mixer, (*kept, *routed), experts, 2, 0, width)


def model(
    layers: tuple[Layer, ...],
    hidden: int = 4096,
    vocab: int = 128256,
    tied: bool = False,
    max_position: int = 131072,
    quantization: Quantization | None = None,
) -> ModelSpec:
    mixer = layers[0].attention
    table = Tensor("embedding", vocab, hidden, Split.VOCAB, BF16)
    return ModelSpec(
        name="test/model",
        architecture="LlamaForCausalLM",
        source="tests",
        known_architecture=True,
        dtype="bf16",
        hidden_size=hidden,
        num_attention_heads=mixer.num_heads,
        num_kv_heads=mixer.num_kv_heads,
        head_dim=mixer.head_dim,
        intermediate_size=layers[0].intermediate_size,
        vocab_size=vocab,
        max_position=max_position,
        tied_embeddings=tied,
        layers=layers,
        embedding=table,
        head=None if tied else Tensor("lm_head", vocab, hidden, Split.VOCAB, BF16),
        final=(Tensor("norm", hidden, 1, Split.REPLICATED, BF16),),
        quantization=quantization,
    )


def llama_8b() -> ModelSpec:
    """The shapes of Llama-3.1-8B: 8,030,261,248 parameters."""
    layer = dense_layer(4096, attention(32, 8, 128), 14336)
    return model((layer,) * 32)


def whole(spec: ModelSpec) -> StageRange:
    return StageRange(0, 0, spec.num_layers, True, True)


def halves(spec: ModelSpec) -> tuple[StageRange, StageRange]:
    middle = spec.num_layers // 2
    return StageRange(0, 0, middle, True, False), StageRange(1, middle, spec.num_layers, False, True)


ROOMY = RankGpu(80 * GIB, 80 * GIB)


def replica_of(
    spec: ModelSpec,
    engine: EngineProfile,
    layout: Layout | None = None,
    gpu: RankGpu = ROOMY,
    stages: tuple[StageRange, ...] = (),
    **options: Any,
) -> Replica:
    """One replica on GPUs of one kind; `options` are PlanRequest's. Without stages one holds all layers."""
    launch = launch_on(spec, engine, PlanRequest(**options), gpu.total_bytes, gpu.spec)
    ranks = tuple(Rank(stage, gpu) for stage in stages or (whole(spec),))
    return Replica(spec, engine, launch, layout or Layout(), ranks)
