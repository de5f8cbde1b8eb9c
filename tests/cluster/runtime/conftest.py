"""Fixtures shared by all tests of the built-in engine: checkpoints, reference answers, rank processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.runtime.checkpoints import LLAMA3_ROPE, make_checkpoint, read_config, reference
from tests.cluster.runtime.ranks import RankPool

NUM_TOKENS = 16
PROMPT = tuple((37 * index + 11) % 101 for index in range(40))
# Different lengths, so that batches are uneven, sequences end at different steps and slots are reused.
PROMPTS = tuple(
    tuple(((31 + number) * index + 5 * number) % 101 for index in range(3 + 9 * number))
    for number in range(6)
)

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", {}),
    "llama, tied, biases": (
        "LlamaForCausalLM",
        {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True},
    ),
    "llama 3 rope": ("LlamaForCausalLM", {"rope_parameters": LLAMA3_ROPE}),
    "linear rope": (
        "LlamaForCausalLM",
        {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e3}},
    ),
    "dynamic rope": (
        "LlamaForCausalLM",
        {
            "rope_parameters": {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 1e3},
            "max_position_embeddings": 32,
        },
    ),
    "yarn rope": (
        "LlamaForCausalLM",
        {
            "rope_parameters": {
                "rope_type": "yarn",
                "factor": 4.0,
                "rope_theta": 1e3,
                "original_max_position_embeddings": 32,
            }
        },
    ),
    "mistral, window": ("MistralForCausalLM", {"sliding_window": 8, "num_key_value_heads": 2}),
    "qwen2, one KV head": ("Qwen2ForCausalLM", {"num_key_value_heads": 1}),
    "qwen2, windows from layer 1": (
        "Qwen2ForCausalLM",
        {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1},
    ),
    "qwen3, tied": (
        "Qwen3ForCausalLM",
        {"head_dim": 16, "tie_word_embeddings": True, "num_key_value_heads": 2},
    ),
    "llama, sharded": ("LlamaForCausalLM", {"shard_bytes": 60_000}),
}


@dataclass(frozen=True)
class Checkpoint:
    """A saved model and transformers' answers."""

    folder: Path
    config: dict[str, Any]
    logits: Any
    """Of PROMPT, [tokens, vocabulary], as numpy."""
    tokens: list[list[int]]
    """Greedy continuation of each of PROMPTS."""

    @property
    def source(self) -> dict[str, Any]:
        return {"config": self.config, "path": str(self.folder), "seed": 0}


class CheckpointShelf:
    """Makes each checkpoint on first use."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._made: dict[str, Checkpoint] = {}

    def get(self, name: str) -> Checkpoint:
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> Checkpoint:
        architecture, fields = MODELS[name]
        folder = make_checkpoint(self._root / str(len(self._made)), architecture, **fields)
        logits, tokens = reference(folder, PROMPT, PROMPTS, NUM_TOKENS)
        return Checkpoint(folder, read_config(folder), logits, tokens)


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> CheckpointShelf:
    return CheckpointShelf(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="session")
def pool() -> Iterator[RankPool]:
    with RankPool(4) as started:
        yield started
