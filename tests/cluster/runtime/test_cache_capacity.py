"""How many sequences fit next to the weights."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.errors import DeployFailed
from cluster.runtime.cache_capacity import rank_memory_needs
from cluster.runtime.config import read_model_config
from cluster.runtime.partition import rank_part
from cluster.units import GIB, KIB

LLAMA_8B: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
}
WEIGHTS_BYTES = 15 * GIB


def room(tp: int, max_len: int, num_seqs: int = 16) -> Any:
    config = read_model_config(LLAMA_8B)
    part = rank_part(config, tp=tp, pp=1, tp_rank=0, stage=0)
    return rank_memory_needs(config, part, max_len, num_seqs, dtype_bytes=2)


def test_a_token_of_8b_takes_128_kib_and_a_quarter_on_four_ranks() -> None:
    assert room(tp=1, max_len=2048).slot_bytes == 2048 * 128 * KIB
    assert room(tp=4, max_len=2048).slot_bytes == 2048 * 32 * KIB


def test_as_many_as_wanted_or_as_fit() -> None:
    assert room(1, 2048).num_slots(80 * GIB, WEIGHTS_BYTES, wanted=16) == 16
    # 72 GiB usable, 15 GiB of weights, 16 GiB per sequence of 131072 tokens.
    assert room(1, 131072).num_slots(80 * GIB, WEIGHTS_BYTES, wanted=16) == 3


def test_no_room_for_one_sequence_is_an_error_with_the_figures() -> None:
    with pytest.raises(
        DeployFailed, match=r"needs 16\.0 GiB of KV cache, but only .* after 15\.0 GiB of weights"
    ):
        room(1, 131072).num_slots(24 * GIB, WEIGHTS_BYTES, wanted=16)
