"""Allocates the tensors of one rank and lists the checkpoint slices that fill them."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from cluster.runtime.config import ModelConfig
from cluster.runtime.partition import RankPart, Span


@dataclass(slots=True)
class WeightSlice:
    """A slice of a checkpoint tensor, and the rank's tensor (or part of one) that it fills."""

    name: str
    shape: tuple[int, ...]
    """Shape of the full tensor in the checkpoint."""
    rows: Span
    columns: Span | None
    """None: all columns, or the tensor is a vector."""
    out: torch.Tensor


@dataclass(slots=True)
class LayerWeights:
    """This rank's share of one decoder layer; q, k, v are stacked by rows, and so are gate and up."""

    attention_norm: torch.Tensor
    qkv: torch.Tensor
    qkv_bias: torch.Tensor | None
    q_norm: torch.Tensor | None
    k_norm: torch.Tensor | None
    o: torch.Tensor
    o_bias: torch.Tensor | None
    mlp_norm: torch.Tensor
    gate_up: torch.Tensor
    gate_up_bias: torch.Tensor | None
    down: torch.Tensor
    down_bias: torch.Tensor | None


@dataclass(slots=True)
class StageWeights:
    """All weights of a rank. `embedding` and `head` are one tensor if tied and on the same stage."""

    layers: list[LayerWeights] = field(default_factory=list)
    embedding: torch.Tensor | None = None
    final_norm: torch.Tensor | None = None
    head: torch.Tensor | None = None
    num_bytes: int = 0


class WeightPlan:
    """Allocates a rank's tensors, and records which slice of which checkpoint tensor fills each."""

    def __init__(self, config: ModelConfig, part: RankPart, device: torch.device, dtype: torch.dtype) -> None:
        self._config = config
        self._part = part
        self._options = {"device": device, "dtype": dtype}
        self.slices: list[WeightSlice] = []
        self.weights = StageWeights()
        self._lay_out()

    def _lay_out(self) -> None:
        config, part, weights = self._config, self._part, self.weights
        if part.is_first_stage:
            weights.embedding = self._vocabulary("model.embed_tokens.weight")
        for layer in range(part.layers.first, part.layers.end):
            weights.layers.append(self._layer(f"model.layers.{layer}."))
        if part.is_last_stage:
            weights.final_norm = self._vector("model.norm.weight", config.hidden_size)
            weights.head = self._head()
        weights.num_bytes = sum(
            weight_slice.out.numel() * weight_slice.out.element_size() for weight_slice in self.slices
        )

    def _layer(self, prefix: str) -> LayerWeights:
        config, head_dim, hidden = self._config, self._config.head_dim, self._config.hidden_size
        q, kv = self._part.heads.scaled(head_dim), self._part.kv_heads.scaled(head_dim)
        columns = self._part.intermediate
        q_rows, kv_rows = config.num_heads * head_dim, config.num_kv_heads * head_dim
        attention, mlp = prefix + "self_attn.", prefix + "mlp."
        qkv = [(attention + "q_proj", q_rows, q), (attention + "k_proj", kv_rows, kv)]
        qkv.append((attention + "v_proj", kv_rows, kv))
        gate_up = [(mlp + name, config.intermediate_size, columns) for name in ("gate_proj", "up_proj")]
        return LayerWeights(
            attention_norm=self._vector(prefix + "input_layernorm.weight", hidden),
            qkv=self._stacked_rows(qkv),
            qkv_bias=self._stacked_bias(qkv) if config.qkv_bias else None,
            q_norm=self._vector(attention + "q_norm.weight", head_dim) if config.qk_norm else None,
            k_norm=self._vector(attention + "k_norm.weight", head_dim) if config.qk_norm else None,
            o=self._split_columns(attention + "o_proj.weight", q_rows, q),
            o_bias=self._reduced_bias(attention + "o_proj.bias") if config.o_bias else None,
            mlp_norm=self._vector(prefix + "post_attention_layernorm.weight", hidden),
            gate_up=self._stacked_rows(gate_up),
            gate_up_bias=self._stacked_bias(gate_up) if config.mlp_bias else None,
            down=self._split_columns(mlp + "down_proj.weight", config.intermediate_size, columns),
            down_bias=self._reduced_bias(mlp + "down_proj.bias") if config.mlp_bias else None,
        )

    def _head(self) -> torch.Tensor:
        if not self._config.tied_embeddings:
            return self._vocabulary("lm_head.weight")
        if self.weights.embedding is not None:
            return self.weights.embedding
        return self._vocabulary("model.embed_tokens.weight")

    def _vocabulary(self, name: str) -> torch.Tensor:
        vocab, hidden = self._config.vocab_size, self._config.hidden_size
        rows = Span(min(self._part.vocab.first, vocab), min(self._part.vocab.end, vocab))
        out = torch.zeros(self._part.vocab.size, hidden, **self._options)
        self.slices.append(WeightSlice(name, (vocab, hidden), rows, None, out[: rows.size]))
        return out

    def _stacked_rows(self, parts: list[tuple[str, int, Span]]) -> torch.Tensor:
        hidden = self._config.hidden_size
        out = torch.empty(sum(rows.size for _, _, rows in parts), hidden, **self._options)
        sections = out.split([rows.size for _, _, rows in parts])
        for (name, total, rows), section in zip(parts, sections, strict=True):
            self.slices.append(WeightSlice(name + ".weight", (total, hidden), rows, None, section))
        return out

    def _stacked_bias(self, parts: list[tuple[str, int, Span]]) -> torch.Tensor:
        out = torch.empty(sum(rows.size for _, _, rows in parts), **self._options)
        sections = out.split([rows.size for _, _, rows in parts])
        for (name, total, rows), section in zip(parts, sections, strict=True):
            self.slices.append(WeightSlice(name + ".bias", (total,), rows, None, section))
        return out

    def _split_columns(self, name: str, total: int, columns: Span) -> torch.Tensor:
        hidden = self._config.hidden_size
        out = torch.empty(hidden, columns.size, **self._options)
        self.slices.append(WeightSlice(name, (hidden, total), Span(0, hidden), columns, out))
        return out

    def _vector(self, name: str, size: int) -> torch.Tensor:
        out = torch.empty(size, **self._options)
        self.slices.append(WeightSlice(name, (size,), Span(0, size), None, out))
        return out

    def _reduced_bias(self, name: str) -> torch.Tensor | None:
        # The all-reduce sums the outputs of all ranks, so only one of them may add the bias.
        return self._vector(name, self._config.hidden_size) if self._part.tp_rank == 0 else None
