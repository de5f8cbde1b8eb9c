"""The built-in engine on an NVIDIA GPU: transformers' answers, and the memory that the shapes imply."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from cluster.runtime.generation import GenerationRequest
from cluster.runtime.rank_worker import RankWorker
from cluster.units import GIB
from tests.cluster.runtime.conftest import NUM_TOKENS, PROMPT, PROMPTS, CheckpointShelf

pytestmark = pytest.mark.gpu

LLAMA_8B: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 8192,
}
PARAMETERS_8B = 8_030_261_248
KV_BYTES_PER_TOKEN = 2 * 32 * 8 * 128 * 2


@pytest.fixture(autouse=True)
def gpu() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU that torch can use")


def start(source: dict[str, Any], dtype: str, max_model_len: int, max_num_seqs: int) -> RankWorker:
    engine = RankWorker(
        source,
        tp=1,
        pp=1,
        tp_rank=0,
        stage=0,
        device="cuda",
        dtype=dtype,
        max_model_len=max_model_len,
        max_num_seqs=max_num_seqs,
    )
    engine.join("", timeout_s=60)
    engine.load(lambda fraction: None)
    return engine


def answers(engine: RankWorker, requests: list[GenerationRequest]) -> list[list[int | None]]:
    runner = threading.Thread(target=engine.run)
    handles = [engine.submit(request) for request in requests]
    runner.start()
    try:
        return [[event.token_id for event in handle] for handle in handles]
    finally:
        engine.stop()
        runner.join()


@pytest.mark.parametrize("name", ["llama", "mistral, window", "qwen3, tied", "dynamic rope"])
def test_equals_transformers(shelf: CheckpointShelf, name: str) -> None:
    checkpoint = shelf.get(name)
    engine = start(checkpoint.source, "float32", max_model_len=120, max_num_seqs=4)
    logits = engine.prompt_logits(PROMPT).cpu().numpy()
    assert np.abs(logits - checkpoint.logits).max() < 1e-3
    engine.warm_up()
    requests = [GenerationRequest(prompt, max_tokens=NUM_TOKENS) for prompt in PROMPTS]
    assert answers(engine, requests) == checkpoint.tokens


def test_dummy_8b_uses_the_memory_that_its_shapes_imply() -> None:
    import torch

    if torch.cuda.mem_get_info()[0] < 22 * GIB:
        pytest.skip("less than 22 GiB free")
    source = {"config": LLAMA_8B, "path": None, "seed": 0}
    engine = start(source, "bfloat16", max_model_len=2048, max_num_seqs=8)
    engine.warm_up()
    expected = 2 * PARAMETERS_8B + 8 * 2048 * KV_BYTES_PER_TOKEN
    assert engine.stats().memory_used_bytes == pytest.approx(expected, rel=0.01)
    request = GenerationRequest(tuple(range(700)), max_tokens=32, ignore_eos=True)
    first, second = answers(engine, [request, request])
    assert len(first) == 32
    assert first[0] == second[0]
