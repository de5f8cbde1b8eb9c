"""The forward pass of one rank: its share of one pipeline stage."""

from __future__ import annotations

from typing import Protocol

import torch
from torch.nn.functional import embedding, linear, rms_norm, silu

from cluster.runtime.config import ModelConfig
from cluster.runtime.partition import RankPart
from cluster.runtime.rank_weights import LayerWeights, StageWeights
from cluster.runtime.rope import RotaryTables, rotate
from cluster.runtime.step_attention import StepAttention


class Reducer(Protocol):
    """Sums partial results over the ranks of a stage."""

    def all_reduce(self, partial: torch.Tensor) -> None:
        """Replace `partial` by the sum over the ranks, in place."""
        ...


class StageModel:
    """One rank's share of the layers of a pipeline stage.

    Every rank has the full hidden state. Each layer adds two all-reduced results to it: the attention output
    and the MLP output.
    """

    def __init__(
        self,
        config: ModelConfig,
        part: RankPart,
        weights: StageWeights,
        rotary: RotaryTables,
        reducer: Reducer,
    ) -> None:
        self._config = config
        self._part = part
        self._weights = weights
        self._rotary = rotary
        self._reducer = reducer
        self._windows = config.windows[part.layers.first : part.layers.end]
        heads, kv_heads = part.heads.size, part.kv_heads.size
        self._qkv_heads = (heads, kv_heads, kv_heads)

    def embed(self, token_ids: torch.Tensor) -> torch.Tensor:
        """Return hidden states [tokens, hidden], summed over ranks that each hold some vocabulary rows."""
        table, rows = self._weights.embedding, self._part.vocab
        assert table is not None
        if self._part.tp == 1:
            return embedding(token_ids, table)
        ours = (token_ids >= rows.first) & (token_ids < rows.end)
        # Tokens of other ranks look up row 0 and are zeroed, so that the sum over ranks is the embedding.
        hidden = embedding((token_ids - rows.first) * ours, table) * ours.unsqueeze(1)
        self._reducer.all_reduce(hidden)
        return hidden

    def forward(self, hidden: torch.Tensor, attention: StepAttention) -> torch.Tensor:
        """Run this stage's layers over [tokens, hidden] and return the same shape."""
        cos, sin = self._rotary.rows(attention.positions, attention.lengths)
        for index, layer in enumerate(self._weights.layers):
            hidden = hidden + self._attend(index, layer, hidden, cos, sin, attention)
            hidden = hidden + self._mlp(layer, hidden)
        return hidden

    def local_logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return float32 logits of this rank's vocabulary rows, [tokens, rows without padding]."""
        assert self._weights.head is not None
        scores = linear(self._norm(hidden, self._weights.final_norm), self._weights.head)
        return scores[:, : self.num_vocab_rows].float()

    @property
    def num_vocab_rows(self) -> int:
        """Rows of this rank's vocabulary shard that are not padding."""
        return max(0, min(self._part.vocab.end, self._config.vocab_size) - self._part.vocab.first)

    def _attend(
        self,
        index: int,
        layer: LayerWeights,
        hidden: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        attention: StepAttention,
    ) -> torch.Tensor:
        heads, kv_heads, _ = self._qkv_heads
        qkv = linear(self._norm(hidden, layer.attention_norm), layer.qkv, layer.qkv_bias)
        qkv = qkv.view(hidden.shape[0], sum(self._qkv_heads), self._config.head_dim)
        rotated, v = qkv[:, : heads + kv_heads], qkv[:, heads + kv_heads :]
        if layer.q_norm is not None:
            q, k = rotated[:, :heads], rotated[:, heads:]
            rotated = torch.cat((self._norm(q, layer.q_norm), self._norm(k, layer.k_norm)), dim=1)
        rotated = rotate(rotated, cos, sin)
        mixed = attention.attend(index, rotated[:, :heads], rotated[:, heads:], v, self._windows[index])
        out = linear(mixed, layer.o, layer.o_bias)
        self._reducer.all_reduce(out)
        return out

    def _mlp(self, layer: LayerWeights, hidden: torch.Tensor) -> torch.Tensor:
        gate_up = linear(self._norm(hidden, layer.mlp_norm), layer.gate_up, layer.gate_up_bias)
        gate, up = gate_up.chunk(2, dim=-1)
        out = linear(silu(gate) * up, layer.down, layer.down_bias)
        self._reducer.all_reduce(out)
        return out

    def _norm(self, values: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        return rms_norm(values, (values.shape[-1],), weight, self._config.norm_eps)
