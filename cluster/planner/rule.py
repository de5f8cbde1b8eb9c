"""The rules that may refuse a layout, with the names used in JSON."""

from __future__ import annotations

from enum import StrEnum


class Rule(StrEnum):
    """Why a layout cannot run. Scripts outside read these names: add to them, never rename."""

    # Shapes that a degree must divide.
    HEADS_NOT_DIVISIBLE = "heads_not_divisible"
    KV_HEADS_NOT_DIVISIBLE = "kv_heads_not_divisible"
    INTERMEDIATE_NOT_DIVISIBLE = "intermediate_not_divisible"
    VOCAB_NOT_DIVISIBLE = "vocab_not_divisible"
    QUANT_GROUP_NOT_DIVISIBLE = "quant_group_not_divisible"
    QUANT_BLOCK_NOT_DIVISIBLE = "quant_block_not_divisible"
    EXPERTS_NOT_DIVISIBLE = "experts_not_divisible"
    CONTEXT_NOT_DIVISIBLE = "context_not_divisible"
    TOO_FEW_LAYERS = "too_few_layers"
    # Engine and GPU support.
    ENGINE_UNSUPPORTED = "engine_unsupported"
    PP_UNSUPPORTED = "pp_unsupported"
    DTYPE_UNSUPPORTED = "dtype_unsupported"
    QUANTIZATION_UNSUPPORTED = "quantization_unsupported"
    # Memory.
    WEIGHTS_DO_NOT_FIT = "weights_do_not_fit"
    NO_KV_MEMORY = "no_kv_memory"
    GRAPHS_DO_NOT_FIT = "graphs_do_not_fit"
    MAX_LEN_EXCEEDS_KV = "max_len_exceeds_kv"
    MAX_LEN_EXCEEDS_MODEL = "max_len_exceeds_model"
    # Available GPUs.
    NOT_ENOUGH_GPUS = "not_enough_gpus"
    MIXED_GPUS = "mixed_gpus"
    CROSSES_ISLAND = "crosses_island"
    CROSSES_NODE = "crosses_node"
    GPU_BUSY = "gpu_busy"
    GPU_UNHEALTHY = "gpu_unhealthy"
    GPU_EXCLUDED = "gpu_excluded"
    GPU_UNKNOWN = "gpu_unknown"


MEMORY_RULES = frozenset(
    {
        Rule.WEIGHTS_DO_NOT_FIT,
        Rule.NO_KV_MEMORY,
        Rule.GRAPHS_DO_NOT_FIT,
        Rule.MAX_LEN_EXCEEDS_KV,
        Rule.GPU_BUSY,
    }
)
"""Rules that more memory, freed memory or deeper pipelines may fix."""
