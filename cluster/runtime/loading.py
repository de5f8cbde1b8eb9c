"""Builds a rank's model: allocates, reads or makes up the weights, allocates the cache."""

from __future__ import annotations

from collections.abc import Callable

import torch

from cluster.runtime.cache_room import cache_room
from cluster.runtime.checkpoint import Checkpoint
from cluster.runtime.config import ModelConfig
from cluster.runtime.dummy import fill_with_dummy
from cluster.runtime.executor import StepExecutor
from cluster.runtime.group import RankGroup
from cluster.runtime.kv_cache import KvCache
from cluster.runtime.model import StageModel
from cluster.runtime.partition import RankPart
from cluster.runtime.rope import RotaryTables
from cluster.runtime.source import WeightSource
from cluster.runtime.step_plan import StepPlan
from cluster.runtime.weights import WeightPlan


class LoadedRank:
    """A rank that is ready to step."""

    def __init__(
        self,
        executor: StepExecutor,
        *,
        tensor_bytes: int,
        bytes_read: int,
        num_slots: int,
        device: torch.device,
    ) -> None:
        self._executor = executor
        self.bytes_read = bytes_read
        self.num_slots = num_slots
        self._tensor_bytes = tensor_bytes
        self._device = device

    def execute(self, plan: StepPlan) -> list[int]:
        return self._executor.execute(plan)

    def prompt_logits(self, tokens: tuple[int, ...]) -> torch.Tensor | None:
        return self._executor.prompt_logits(tokens)

    def memory_used_bytes(self) -> int:
        """Bytes held by tensors: as the CUDA allocator counts on a GPU, weights and cache on a CPU."""
        if self._device.type == "cuda":
            return int(torch.cuda.memory_allocated(self._device))
        return self._tensor_bytes


def load_rank(
    source: WeightSource,
    config: ModelConfig,
    part: RankPart,
    group: RankGroup,
    *,
    dtype_name: str,
    max_len: int,
    num_slots: int,
    on_progress: Callable[[float], None],
) -> LoadedRank:
    """Allocate and fill everything that a rank holds; the cache gets up to `num_slots` sequences."""
    device, dtype = group.device, getattr(torch, dtype_name)
    free_bytes = _free_bytes(device)
    with torch.inference_mode():
        plan = WeightPlan(config, part, device, dtype)
        bytes_read = _fill(plan, source, on_progress)
        if free_bytes is not None:
            room = cache_room(config, part, max_len, num_slots, dtype.itemsize)
            num_slots = room.num_slots(free_bytes, plan.weights.num_bytes, num_slots)
        cache = KvCache(config, part, num_slots, max_len, device, dtype)
        rotary = RotaryTables(config.rope, config.head_dim, max_len, device, dtype)
    model = StageModel(config, part, plan.weights, rotary, group)
    executor = StepExecutor(config, part, model, cache, group, device, dtype)
    return LoadedRank(
        executor,
        tensor_bytes=plan.weights.num_bytes + cache.num_bytes,
        bytes_read=bytes_read,
        num_slots=num_slots,
        device=device,
    )


def _free_bytes(device: torch.device) -> int | None:
    """Return the GPU's free memory before anything is loaded; None on a CPU, whose memory is shared."""
    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else None


def _fill(plan: WeightPlan, source: WeightSource, on_progress: Callable[[float], None]) -> int:
    """Fill the planned tensors and return the bytes read from disk."""
    if source.path is None:
        fill_with_dummy(plan.pieces, source.seed, on_progress)
        return 0
    with Checkpoint(source.path) as checkpoint:
        checkpoint.fill(plan.pieces, on_progress)
        return checkpoint.bytes_read
