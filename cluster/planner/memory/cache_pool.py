"""How many blocks a cache pool has, and how many one sequence takes from it.

Engines with a hybrid block manager keep layers of several kinds in one pool of equal blocks: layers of a kind
are cut into groups of equal size, a block holds one page of every layer of a group, and a sequence takes
blocks for each group. (vLLM: design document "Hybrid KV Cache Manager"; v1/core/kv_cache_utils.py.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cluster.planner.kv_share import keeps_latent
from cluster.planner.layout import StageRange
from cluster.planner.memory.cache_layers import CacheLayer, CacheLayers, cache_layers
from cluster.planner.replica import Replica


@dataclass(frozen=True, slots=True)
class PoolRules:
    """The settings of an engine's block manager that determine the pool."""

    block_tokens: int
    in_flight_tokens: int
    """Tokens of a forward pass, which a windowed layer holds beside its window."""
    state_blocks: int = 1
    """Blocks a sequence takes for each group of state layers (2 where prefixes of states are cached)."""
    group_tolerance: float = 1.25
    """Kinds whose layer counts differ by less than this factor take the larger count as group size."""
    page_step_tokens: int = 0
    """Tokens that a page stretched to hold a state is a multiple of; 0: of a block."""


@dataclass(frozen=True, slots=True)
class CachePool:
    """One rank's pool for sequences of one length."""

    block_bytes: int
    blocks_per_sequence: int
    block_tokens: int
    num_groups: int
    holds_states_only: bool = False
    """A sequence takes the same number of blocks whatever its length."""

    @property
    def sequence_bytes(self) -> int:
        """Bytes that one sequence of the pool's length takes."""
        return self.block_bytes * self.blocks_per_sequence

    def num_blocks(self, cache_bytes: int) -> int:
        """Return the blocks that fit `cache_bytes`."""
        return cache_bytes // self.block_bytes if self.block_bytes else 0


def stage_pool(replica: Replica, stage: StageRange) -> CachePool:
    """Return the pool of one stage's rank for requests of max_model_len."""
    launch = replica.launch
    return _pool(replica, stage, launch.max_model_len, launch.max_num_batched_tokens)


def decoded_pool(replica: Replica, stage: StageRange, tokens: int) -> CachePool:
    """Return the pool of one stage's rank for sequences of `tokens` that are being decoded.

    A decoded sequence has one token in flight: windows were freed behind it.
    """
    return _pool(replica, stage, tokens, 1)


def _pool(replica: Replica, stage: StageRange, sequence_tokens: int, in_flight_tokens: int) -> CachePool:
    cache = replica.engine.cache
    paged_latent = keeps_latent(replica.model) and not cache.contiguous
    rules = PoolRules(
        block_tokens=sequence_tokens if cache.contiguous else cache.block_tokens,
        in_flight_tokens=in_flight_tokens,
        state_blocks=cache.state_blocks,
        page_step_tokens=cache.latent_page_tokens if paged_latent else 0,
    )
    return cache_pool(cache_layers(replica, stage), sequence_tokens, rules)


def cache_pool(layers: CacheLayers, sequence_tokens: int, rules: PoolRules) -> CachePool:
    """Return the pool of one rank's layers for sequences of `sequence_tokens`."""
    if not layers:
        return CachePool(0, 0, rules.block_tokens, 0)
    if any(layer.in_flight_bytes for layer, _ in layers):
        return _summed_pool(layers, sequence_tokens, rules)
    if (
        len({(layer.window, bool(layer.state_bytes)) for layer, _ in layers}) == 1
        and not layers[0][0].state_bytes
    ):
        return _uniform_pool(layers, sequence_tokens, rules)
    return _hybrid_pool(layers, sequence_tokens, rules)


def _uniform_pool(layers: CacheLayers, sequence_tokens: int, rules: PoolRules) -> CachePool:
    token_bytes = sum(layer.bytes_per_token * count for layer, count in layers)
    window = layers[0][0].window
    kept = sequence_tokens if window is None else min(sequence_tokens, window + rules.in_flight_tokens)
    blocks = math.ceil(kept / rules.block_tokens)
    return CachePool(math.ceil(token_bytes * rules.block_tokens), blocks, rules.block_tokens, 1)


def _summed_pool(layers: CacheLayers, sequence_tokens: int, rules: PoolRules) -> CachePool:
    """Return the pool of layers with many page sizes: a sequence's bytes, counted in block-sized parts."""
    blocks = math.ceil(sequence_tokens / rules.block_tokens)
    size = sum(
        layer.sequence_bytes(sequence_tokens, rules.in_flight_tokens) * count for layer, count in layers
    )
    return CachePool(max(1, math.ceil(size / blocks)), blocks, rules.block_tokens, 1)


def _hybrid_pool(layers: CacheLayers, sequence_tokens: int, rules: PoolRules) -> CachePool:
    block_tokens, page_bytes = _page(layers, rules)
    counts = [count for _, count in layers]
    close = max(counts) < min(counts) * rules.group_tolerance
    group_size = max(counts) if close else min(counts)
    blocks = groups = 0
    for layer, count in layers:
        kind_groups = math.ceil(count / group_size)
        groups += kind_groups
        blocks += kind_groups * _blocks_of_group(layer, page_bytes, sequence_tokens, rules)
    only_states = all(layer.state_bytes for layer, _ in layers)
    return CachePool(math.ceil(page_bytes * group_size), blocks, block_tokens, groups, only_states)


def _page(layers: CacheLayers, rules: PoolRules) -> tuple[int, float]:
    """Return (tokens of a block of the widest attention layer, bytes of a page that holds a whole state)."""
    widest = max((layer.bytes_per_token for layer, _ in layers), default=0.0)
    state = max((layer.state_bytes for layer, _ in layers), default=0)
    if not widest:
        return rules.block_tokens, float(state)
    step = rules.page_step_tokens or rules.block_tokens
    tokens = max(rules.block_tokens, math.ceil(state / widest / step) * step)
    return tokens, tokens * widest


def _blocks_of_group(layer: CacheLayer, page_bytes: float, sequence_tokens: int, rules: PoolRules) -> int:
    if layer.state_bytes:
        return rules.state_blocks
    # A page of a narrower layer holds more tokens.
    block_tokens = int(page_bytes // layer.bytes_per_token)
    if layer.window is None:
        return math.ceil(sequence_tokens / block_tokens)
    kept = min(sequence_tokens, layer.window - 1 + rules.in_flight_tokens)
    return math.ceil(kept / block_tokens) + 1
