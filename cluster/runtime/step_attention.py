"""Attention over the KV cache for one step: a chunk of one prompt, or one token per running sequence."""

from __future__ import annotations

from typing import Protocol

import torch
from torch.nn.functional import scaled_dot_product_attention

from cluster.runtime.kv_slots import KvCache


class StepAttention(Protocol):
    """Writes the step's keys and values to the cache, then attends over what its queries may see."""

    positions: torch.Tensor
    """Position of every token of the step."""
    lengths: list[int]
    """Length of the sequence so far: one entry for all tokens, or one per token."""

    def attend(
        self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, window: int | None
    ) -> torch.Tensor:
        """Take q [tokens, heads, dim] and k, v [tokens, KV heads, dim]; return [tokens, heads * dim]."""
        ...


class PromptAttention:
    """Causal attention for tokens `start` to `end` of the sequence in `slot`."""

    def __init__(
        self, cache: KvCache, slot: int, start: int, end: int, total: int, device: torch.device
    ) -> None:
        self._cache = cache
        self._slot = slot
        self._start = start
        self._end = end
        self._device = device
        self._masks: dict[int | None, torch.Tensor | None] = {}
        self.positions = torch.arange(start, end, device=device)
        self.lengths = [total]

    def attend(
        self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, window: int | None
    ) -> torch.Tensor:
        keys, values = self._cache.keys[layer][self._slot], self._cache.values[layer][self._slot]
        keys[:, self._start : self._end] = k.transpose(0, 1)
        values[:, self._start : self._end] = v.transpose(0, 1)
        keys, values = keys[:, : self._end].unsqueeze(0), values[:, : self._end].unsqueeze(0)
        mask = self._mask(window, q.shape[1] // k.shape[1])
        if mask is None:
            out = scaled_dot_product_attention(
                q.transpose(0, 1).unsqueeze(0),
                keys,
                values,
                is_causal=True,
                enable_gqa=q.shape[1] != k.shape[1],
            )
            return out[0].transpose(0, 1).reshape(q.shape[0], -1)
        out = scaled_dot_product_attention(_fold(q, k.shape[1]), keys, values, attn_mask=mask)
        return _unfold(out, q.shape[0])

    def _mask(self, window: int | None, group_size: int) -> torch.Tensor | None:
        """Return True where a folded query may look; None where a plain causal mask is enough."""
        if self._start == 0 and (window is None or self._end <= window):
            return None
        if window not in self._masks:
            distance = self.positions.unsqueeze(1) - torch.arange(self._end, device=self._device)
            seen = distance >= 0
            seen = seen if window is None else seen & (distance < window)
            self._masks[window] = seen.repeat(group_size, 1)
        return self._masks[window]


def _fold(q: torch.Tensor, kv_heads: int) -> torch.Tensor:
    """Turn the heads of a group into extra queries: [1, KV heads, group * tokens, dim].

    Masked kernels do not support grouped heads, and repeating keys and values would copy the whole cache.
    """
    tokens, heads, head_dim = q.shape
    groups = q.view(tokens, kv_heads, heads // kv_heads, head_dim)
    return groups.permute(1, 2, 0, 3).reshape(1, kv_heads, -1, head_dim)


def _unfold(out: torch.Tensor, tokens: int) -> torch.Tensor:
    """Undo `_fold`: [1, KV heads, group * tokens, dim] to [tokens, heads * dim]."""
    _, kv_heads, _, head_dim = out.shape
    return out.reshape(kv_heads, -1, tokens, head_dim).permute(2, 0, 1, 3).reshape(tokens, -1)


class DecodeAttention:
    """One new token for each of the sequences in slots 0 to n - 1, at their own positions."""

    def __init__(self, cache: KvCache, positions: list[int], device: torch.device) -> None:
        self._cache = cache
        self._device = device
        self._end = max(positions) + 1
        # With all sequences equally long, one slice write does, and no mask is needed.
        self._even = min(positions) == max(positions)
        self._views: dict[int | None, tuple[int, torch.Tensor | None]] = {}
        self.positions = torch.tensor(positions, device=device)
        self._slots = torch.arange(len(positions), device=device)
        self.lengths = [position + 1 for position in positions]

    def attend(
        self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, window: int | None
    ) -> torch.Tensor:
        batch, kv_heads, head_dim = k.shape
        keys, values = self._cache.keys[layer][:batch], self._cache.values[layer][:batch]
        self._write(keys, k)
        self._write(values, v)
        first, mask = self._view(window)
        # The query heads of a group become that many queries on one KV head, so that nothing is repeated.
        out = scaled_dot_product_attention(
            q.view(batch, kv_heads, -1, head_dim),
            keys[:, :, first : self._end],
            values[:, :, first : self._end],
            attn_mask=mask,
        )
        return out.reshape(batch, -1)

    def _write(self, cached: torch.Tensor, new: torch.Tensor) -> None:
        if self._even:
            cached[:, :, self._end - 1] = new
        else:
            cached[self._slots, :, self.positions] = new

    def _view(self, window: int | None) -> tuple[int, torch.Tensor | None]:
        """Return the first cached token that any sequence may see, and the mask from there on."""
        if window not in self._views:
            shortest = min(self.lengths)
            first = 0 if window is None else max(0, shortest - window)
            self._views[window] = (first, None if self._even else self._mask(first, window))
        return self._views[window]

    def _mask(self, first: int, window: int | None) -> torch.Tensor:
        distance = self.positions.unsqueeze(1) - torch.arange(first, self._end, device=self._device)
        seen = distance >= 0
        if window is not None:
            seen &= distance < window
        return seen[:, None, None, :]
