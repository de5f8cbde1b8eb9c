"""The built-in engine gives transformers' answers for every layout and family, alone and in a batch."""

from __future__ import annotations

import numpy as np
import pytest

from cluster.runtime.generation import GenerationRequest
from cluster.runtime.scheduler import PROMPT_CHUNK_TOKENS
from tests.cluster.runtime.checkpoints import reference
from tests.cluster.runtime.conftest import MODELS, NUM_TOKENS, PROMPT, PROMPTS, CheckpointShelf
from tests.cluster.runtime.ranks import Job, RankPool, RankResult

# Largest allowed difference of any logit in float32.
TOLERANCE = 1e-4
# Six requests on four slots: some run in uneven batches, some wait and reuse a slot.
REQUESTS = tuple(GenerationRequest(prompt, max_tokens=NUM_TOKENS) for prompt in PROMPTS)
SPLIT_MODELS = ("llama", "llama, tied, biases", "mistral, window", "qwen2, one KV head", "qwen3, tied")


def assert_equal(shelf: CheckpointShelf, pool: RankPool, name: str, tp: int, pp: int = 1) -> list[RankResult]:
    checkpoint = shelf.get(name)
    results = pool.run(Job(checkpoint.source, tp, pp, logits_prompt=PROMPT, requests=REQUESTS))
    assert [result.error for result in results] == [""] * (tp * pp)
    assert np.abs(results[(pp - 1) * tp].logits - checkpoint.logits).max() < TOLERANCE
    assert results[0].tokens == checkpoint.tokens
    return results


@pytest.mark.parametrize("name", MODELS)
def test_one_process(shelf: CheckpointShelf, pool: RankPool, name: str) -> None:
    assert_equal(shelf, pool, name, tp=1)


@pytest.mark.parametrize("tp", [2, 3, 4])
@pytest.mark.parametrize("name", SPLIT_MODELS)
def test_tensor_parallel(shelf: CheckpointShelf, pool: RankPool, name: str, tp: int) -> None:
    """4, 2 and 1 KV heads over 2, 3 and 4 ranks: even, replicated and uneven splits."""
    results = assert_equal(shelf, pool, name, tp=tp)
    num_layers = shelf.get(name).config["num_hidden_layers"]
    # After attention and after the MLP of every layer, and once for the split embedding.
    assert results[0].stats.all_reduces_per_token == 2 * num_layers + 1
    assert 0 < results[0].stats.all_reduce_share < 1


def test_sharded_checkpoint_over_two_ranks(shelf: CheckpointShelf, pool: RankPool) -> None:
    checkpoint = shelf.get("llama, sharded")
    assert len(list(checkpoint.folder.glob("*.safetensors"))) > 3
    assert_equal(shelf, pool, "llama, sharded", tp=2)


@pytest.mark.parametrize(("tp", "pp"), [(1, 2), (2, 2), (1, 3)])
def test_pipeline_parallel(shelf: CheckpointShelf, pool: RankPool, tp: int, pp: int) -> None:
    """Includes tied embeddings, where the first and the last stage both hold a shard of the table."""
    for name in ("llama", "qwen3, tied"):
        results = assert_equal(shelf, pool, name, tp=tp, pp=pp)
        expected = 2 * shelf.get(name).config["num_hidden_layers"] + 1 if tp > 1 else 0
        assert results[0].stats.all_reduces_per_token == expected


def test_ranks_hold_and_read_only_their_part(shelf: CheckpointShelf, pool: RankPool) -> None:
    checkpoint = shelf.get("llama")
    file_bytes = (checkpoint.folder / "model.safetensors").stat().st_size
    whole = pool.run(Job(checkpoint.source, tp=1))[0]
    quarters = pool.run(Job(checkpoint.source, tp=4))
    assert whole.bytes_read <= file_bytes
    for quarter in quarters:
        assert quarter.bytes_read < 0.3 * whole.bytes_read
        assert quarter.memory_used_bytes < 0.3 * whole.memory_used_bytes
        assert quarter.progress == sorted(quarter.progress)
        assert quarter.progress[-1] == 1.0


@pytest.mark.parametrize("dtype", ["bf16", "float16"])
def test_half_precision_stays_close(shelf: CheckpointShelf, pool: RankPool, dtype: str) -> None:
    checkpoint = shelf.get("qwen3, tied")
    half = pool.run(Job(checkpoint.source, tp=2, dtype=dtype, logits_prompt=PROMPT))
    full = pool.run(Job(checkpoint.source, tp=2))
    assert [result.error for result in half] == ["", ""]
    assert 2 * half[0].memory_used_bytes == full[0].memory_used_bytes
    # Logits range over about 10, and bfloat16 keeps 8 bits of each of a few hundred terms.
    assert np.abs(half[0].logits - checkpoint.logits).max() < 0.5
    assert (half[0].logits.argmax(-1) == checkpoint.logits.argmax(-1)).mean() > 0.9


@pytest.mark.parametrize("name", ["llama", "mistral, window", "dynamic rope"])
def test_a_prompt_of_several_chunks(shelf: CheckpointShelf, pool: RankPool, name: str) -> None:
    prompt = tuple((index * index + 3 * index) % 101 for index in range(2 * PROMPT_CHUNK_TOKENS + 77))
    folder = shelf.get(name).folder
    _, answers = reference(folder, prompt, (prompt,), NUM_TOKENS)
    request = GenerationRequest(prompt, max_tokens=NUM_TOKENS)
    short = REQUESTS[2]
    job = Job(shelf.get(name).source, tp=2, requests=(request, short, request), max_model_len=1200)
    results = pool.run(job)
    assert [result.error for result in results] == ["", ""]
    assert results[0].tokens == [answers[0], shelf.get(name).tokens[2], answers[0]]


def test_stages_of_unequal_length(shelf: CheckpointShelf, pool: RankPool) -> None:
    checkpoint = shelf.get("llama")
    job = Job(checkpoint.source, tp=1, pp=2, requests=REQUESTS, stage_layers=((0, 1), (1, 3)))
    results = pool.run(job)
    assert results[0].tokens == checkpoint.tokens
    assert results[0].bytes_read < results[1].bytes_read


def test_same_seed_samples_the_same_in_every_layout(shelf: CheckpointShelf, pool: RankPool) -> None:
    from cluster.runtime.generation import SamplingParams

    checkpoint = shelf.get("llama")
    sampling = [SamplingParams(temperature=0.9, top_p=0.9, top_k=20, seed=seed) for seed in (1, 1, 2)]
    requests = tuple(GenerationRequest(PROMPT, max_tokens=12, sampling=each) for each in sampling)
    layouts = [(1, 1), (3, 1), (2, 2)]
    answers = [pool.run(Job(checkpoint.source, tp, pp, requests=requests))[0].tokens for tp, pp in layouts]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0] == answers[0][1] != answers[0][2]
