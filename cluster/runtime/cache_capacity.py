"""How many sequences fit in a rank's memory next to the weights and a step's temporaries."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.errors import DeployFailed
from cluster.runtime.config import ModelConfig
from cluster.runtime.partition import RankPart
from cluster.runtime.scheduler import PROMPT_CHUNK_TOKENS
from cluster.units import format_gib

# Fraction of the memory found free that is used; the rest is left to the allocator and NCCL.
MEMORY_SHARE = 0.9
LOGIT_BYTES = 4
# Scores, their sorted copy, and probabilities in double precision.
LOGIT_COPIES = 5


@dataclass(frozen=True, slots=True)
class RankMemoryNeeds:
    """What one rank needs beside its weights, in bytes."""

    slot_bytes: int
    """KV cache of one full-length sequence in this rank's layers and KV heads."""
    step_bytes: int
    """Peak temporaries of one step."""

    def num_slots(self, free_at_start_bytes: int, weights_bytes: int, wanted: int) -> int:
        """Return how many of the `wanted` slots fit; DeployFailed when not even one fits."""
        room_bytes = int(MEMORY_SHARE * free_at_start_bytes) - weights_bytes - self.step_bytes
        slots = min(wanted, room_bytes // self.slot_bytes)
        if slots < 1:
            raise DeployFailed(
                f"One sequence needs {format_gib(self.slot_bytes)} of KV cache, but only "
                f"{format_gib(max(0, room_bytes))} is left after {format_gib(weights_bytes)} of weights",
                "Lower --max-model-len, or split the model over more GPUs",
            )
        return slots


def rank_memory_needs(
    config: ModelConfig, part: RankPart, max_len: int, num_seqs: int, dtype_bytes: int
) -> RankMemoryNeeds:
    """Compute what a rank needs. Temporaries are those of one prompt chunk plus one sampling step."""
    kv_elements = 2 * part.layers.size * part.kv_heads.size * config.head_dim
    qkv_columns = (part.heads.size + 2 * part.kv_heads.size) * config.head_dim
    columns = 4 * config.hidden_size + 3 * qkv_columns + 3 * part.intermediate.size
    # Attention mask of a later chunk: one entry per query head of a group, token and earlier token.
    mask_bytes = part.group_size * PROMPT_CHUNK_TOKENS * max_len * dtype_bytes
    logits_bytes = LOGIT_COPIES * num_seqs * config.vocab_size * LOGIT_BYTES
    return RankMemoryNeeds(
        slot_bytes=kv_elements * max_len * dtype_bytes,
        step_bytes=PROMPT_CHUNK_TOKENS * columns * dtype_bytes + mask_bytes + logits_bytes,
    )
