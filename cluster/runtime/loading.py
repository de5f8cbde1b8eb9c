"""Builds a rank: allocates its tensors, reads or generates the weights, allocates the KV cache."""

from __future__ import annotations

from collections.abc import Callable

import torch

from cluster.runtime.cache_capacity import rank_memory_needs
from cluster.runtime.checkpoint_reader import CheckpointReader
from cluster.runtime.config import ModelConfig
from cluster.runtime.dummy_weights import fill_with_dummy
from cluster.runtime.executor import StepExecutor
from cluster.runtime.kv_slots import KvCache
from cluster.runtime.partition import RankPart
from cluster.runtime.rank_group import RankGroup
from cluster.runtime.rank_weights import WeightPlan
from cluster.runtime.rope import RotaryTables
from cluster.runtime.stage_model import StageModel
from cluster.runtime.step_plan import StepPlan
from cluster.runtime.weight_source import WeightSource


class LoadedRank:
    """A rank with weights and KV cache, ready to run steps."""

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
        """Run a step; see StepExecutor.execute."""
        return self._executor.execute(plan)

    def prompt_logits(self, tokens: tuple[int, ...]) -> torch.Tensor | None:
        """Return the logits of a new prompt; see StepExecutor.prompt_logits."""
        return self._executor.prompt_logits(tokens)

    def memory_used_bytes(self) -> int:
        """Return tensor bytes: the CUDA allocator's count on a GPU, weights plus KV cache on a CPU."""
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
    """Allocate and fill everything a rank holds, with up to `num_slots` KV cache slots as memory allows."""
    device, dtype = group.device, getattr(torch, dtype_name)
    free_bytes = _free_bytes(device)
    with torch.inference_mode():
        plan = WeightPlan(config, part, device, dtype)
        bytes_read = _fill(plan, source, on_progress)
        if free_bytes is not None:
            room = rank_memory_needs(config, part, max_len, num_slots, dtype.itemsize)
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
    """Return the GPU's free memory before loading; None on a CPU, whose memory other processes share."""
    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else None


def _fill(plan: WeightPlan, source: WeightSource, on_progress: Callable[[float], None]) -> int:
    """Fill the allocated tensors and return the bytes read from disk."""
    if source.path is None:
        fill_with_dummy(plan.slices, source.seed, on_progress)
        return 0
    with CheckpointReader(source.path) as checkpoint:
        checkpoint.fill(plan.slices, on_progress)
        return checkpoint.bytes_read
