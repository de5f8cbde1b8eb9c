"""What the planner needs to know about a model: its tensors layer by layer, its cache, its limits.

A model is described by its tensors and how each one may be split, so that memory, validity and time are all
computed from the same list and no model name appears in code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Split(StrEnum):
    """How tensor parallelism divides a weight of shape [out_features, in_features]."""

    COLUMN = "column"  # out_features over TP (gate, up; experts too when not expert-parallel)
    ROW = "row"  # in_features over TP (down)
    HEADS = "heads"  # out_features over TP by attention heads (q)
    KV_HEADS = "kv_heads"  # out_features over TP by KV heads; replicated beyond num_kv_heads ranks
    HEADS_IN = "heads_in"  # in_features over TP by attention heads (o)
    VOCAB = "vocab"  # out_features over TP after padding (embedding, head)
    REPLICATED = "replicated"  # the same on every rank (norms, router, latent down-projections)


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """How the elements of one weight are stored."""

    name: str
    """'bf16', 'fp16', 'fp32', 'fp8', 'int8', 'int4', 'mxfp4', 'nvfp4', 'nf4' ..."""
    bits: float
    """Bits per element, without scales."""
    group_size: int | None = None
    """Elements along in_features that share a scale; None: no groups."""
    block: tuple[int, int] | None = None
    """(out, in) block that shares a scale, as in FP8 128x128."""
    scale_bytes_per_group: float = 0.0
    """Scale and zero-point bytes per group, per block or (neither given) per output row."""

    def size_bytes(self, out_features: int, in_features: int) -> int:
        """Return the bytes of a weight [out_features, in_features] with its scales, as stored unpadded."""
        elements = out_features * in_features
        if not self.scale_bytes_per_group or in_features == 1:
            return math.ceil(elements * self.bits / 8)
        if self.block is not None:
            groups = math.ceil(out_features / self.block[0]) * math.ceil(in_features / self.block[1])
        elif self.group_size is not None:
            groups = out_features * math.ceil(in_features / self.group_size)
        else:
            groups = out_features
        return math.ceil(elements * self.bits / 8 + groups * self.scale_bytes_per_group)


@dataclass(frozen=True, slots=True)
class Tensor:
    """One weight matrix (or vector, in_features = 1), `copies` of it alike (the experts of a layer)."""

    name: str
    out_features: int
    in_features: int
    split: Split
    format: WeightFormat
    copies: int = 1
    is_expert: bool = False
    """Copies are divided over expert-parallel ranks."""
    active_copies: float = 1.0
    """Copies that one token uses (experts per token); equals copies for dense tensors."""

    @property
    def parameters(self) -> int:
        return self.out_features * self.in_features * self.copies

    @property
    def size_bytes(self) -> int:
        """Bytes of all copies before any split, as stored unpadded."""
        return self.format.size_bytes(self.out_features, self.in_features) * self.copies


class AttentionKind(StrEnum):
    """What a layer keeps per sequence."""

    FULL = "full"  # keys and values of every token
    SLIDING = "sliding"  # of the last `window` tokens
    CHUNKED = "chunked"  # of the current chunk of `window` tokens
    LATENT = "latent"  # one latent vector per token, the same on every TP rank (MLA)
    STATE = "state"  # a fixed state per sequence (Mamba, gated delta net, linear attention)
    NONE = "none"  # layer without a mixer (pure MLP layer of a hybrid)


@dataclass(frozen=True, slots=True)
class Attention:
    """The token mixer of a layer. Head counts are of the whole layer, before TP."""

    kind: AttentionKind
    num_heads: int = 0
    num_kv_heads: int = 0
    head_dim: int = 0
    v_head_dim: int = 0
    window: int | None = None
    latent_dim: int = 0
    """kv_lora_rank + rope dim: elements per token for LATENT."""
    index_dim: int = 0
    """Elements per token of a sparse-attention indexer's own cache (DeepSeek-V3.2 DSA); 0: none."""
    index_bytes: float = 1.0
    """Bytes per element of the indexer's cache."""
    state_elements: int = 0
    """Recurrent state elements per sequence for STATE, split over TP."""
    conv_elements: int = 0
    """Convolution state elements per sequence for STATE, split over TP."""
    state_dtype_bytes: float = 2.0
    """Bytes per element of the recurrent state."""
    conv_dtype_bytes: float = 2.0
    """Bytes per element of the convolution state."""
    compress_ratio: int = 1
    """Tokens that share one cache entry (compressed sparse attention); 1: none."""
    kv_shared: bool = False
    """Reads the keys and values of an earlier layer and keeps none of its own."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One decoder layer. Equal layers are the same object, so that they can be counted by identity."""

    attention: Attention
    tensors: tuple[Tensor, ...]
    num_experts: int = 0
    experts_per_token: int = 0
    shared_experts: int = 0
    intermediate_size: int = 0
    """MLP width of a dense layer, or of one expert."""


@dataclass(frozen=True, slots=True)
class Vision:
    """A vision (or audio) tower in front of the decoder; lives on the first stage."""

    tensors: tuple[Tensor, ...]
    num_heads: int
    item_tokens: int = 0
    """Tokens of the largest image the processor accepts; 0: not known."""
    token_width: int = 0
    """Elements of all the patches that make one token, in the tower's own width."""
    video_elements: int = 0
    """Elements that the tower outputs for the longest video the processor accepts; 0: not known."""
    divides_heads: bool = False
    """Engines always divide its attention heads over tensor-parallel ranks."""


@dataclass(frozen=True, slots=True)
class Quantization:
    """What quantization_config says, normalized."""

    method: str
    """'awq', 'gptq', 'fp8', 'compressed-tensors', 'mxfp4', 'nvfp4', 'modelopt', 'bitsandbytes' ..."""
    weight_format: WeightFormat
    activation_dtype: str | None = None
    """'fp8', 'int8', 'fp4' where activations are quantized too; None: computed in the model's dtype."""
    kv_cache_dtype: str | None = None
    on_request: bool = False
    """The checkpoint is in plain dtype, and the user asked for this format."""


@dataclass(frozen=True, slots=True)
class ModelOrigin:
    """What a model was loaded from. A deployment starts from this, so that no model is looked up twice."""

    reference: str
    """What the user named; loading it again gives the same model."""
    config: Mapping[str, Any]
    """The config.json that was read, with the hf_quant_config.json beside it where there is one."""
    folder: str | None = None
    """Absolute path of the model folder; None for a catalog name, a hub id or a lone config file."""
    config_file: str | None = None
    """File name of a lone config, which says nothing of weights; None for everything else."""
    hub_id: str | None = None
    """Id under which the hub has the checkpoint; None for a folder or a file."""
    has_weights: bool = False
    """`folder` held safetensors on this machine when the model was loaded."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model as the planner sees it."""

    name: str
    architecture: str
    source: str
    """Where the description comes from (catalog file with its own source, or the path of a config.json)."""
    known_architecture: bool
    """False: planned from generic fields with a wider band."""
    dtype: str
    """Compute dtype: 'bf16', 'fp16' or 'fp32'."""
    hidden_size: int
    num_attention_heads: int
    num_kv_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    max_position: int
    tied_embeddings: bool
    layers: tuple[Layer, ...]
    embedding: Tensor
    head: Tensor | None
    """None when tied to the embedding."""
    final: tuple[Tensor, ...]
    """Tensors after the last layer (final norm), on the last stage."""
    front: tuple[Tensor, ...] = ()
    """Further tensors beside the embedding, on the first stage (position table, per-layer embeddings)."""
    quantization: Quantization | None = None
    vision: Vision | None = None
    draft_layers: tuple[Layer, ...] = ()
    """Multi-token-prediction layers in the checkpoint; loaded only when speculative decoding is on."""
    parameters: int = 0
    """All parameters, tied embeddings once, draft layers left out."""
    active_parameters: int = 0
    """Parameters one token uses."""
    weights_bytes: int = 0
    """Bytes of the checkpoint's loaded tensors."""
    weights_source: str = "architecture"
    """'safetensors headers', 'index' or 'architecture'."""
    buffer_bytes: int = 0
    """Bytes of buffers that engines build beside the weights on every rank (the rotary table)."""
    rope_type: str = ""
    """How the config scales its rotary positions ('llama3', 'yarn' ...); empty: not at all."""
    supports_pp: bool = True
    notes: tuple[str, ...] = ()
    """Plain sentences a user should see (fields assumed, parts not modeled)."""
    origin: ModelOrigin | None = field(default=None, compare=False, repr=False)
    """What `load_model` read it from; None for a model that was only built from a config."""

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    @property
    def is_moe(self) -> bool:
        return any(layer.num_experts for layer in self.layers)

    @property
    def num_experts(self) -> int:
        return max((layer.num_experts for layer in self.layers), default=0)
