"""The KV cache: preallocated, one slot per sequence, `max_len` tokens per slot."""

from __future__ import annotations

import torch

from cluster.runtime.config import ModelConfig
from cluster.runtime.partition import RankPart


class KvCache:
    """A key and a value tensor per layer, each [slots, local KV heads, max_len, head_dim].

    Running sequences occupy the first slots without gaps, so that a batch is a view and needs no gather.
    """

    def __init__(
        self,
        config: ModelConfig,
        part: RankPart,
        num_slots: int,
        max_len: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.num_slots = num_slots
        self.max_len = max_len
        shape = (num_slots, part.kv_heads.size, max_len, config.head_dim)
        # Zeros rather than empty: masked entries are multiplied by zero, and zero times NaN is NaN.
        self.keys = [torch.zeros(shape, device=device, dtype=dtype) for _ in range(part.layers.size)]
        self.values = [torch.zeros(shape, device=device, dtype=dtype) for _ in range(part.layers.size)]

    @property
    def num_bytes(self) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in (*self.keys, *self.values))

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` tokens of slot `source` to slot `target` in every layer."""
        for tensor in (*self.keys, *self.values):
            tensor[target, :, :length] = tensor[source, :, :length]
