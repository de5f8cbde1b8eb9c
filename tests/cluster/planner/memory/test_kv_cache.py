"""Cache bytes and tokens: published figures for real shapes, and hand-made hybrids."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.catalog.engine_catalog import load_engine
from cluster.catalog.model_spec import Attention, AttentionKind, Layer
from cluster.planner.layout import Layout
from cluster.planner.memory import kv_bytes_per_token, kv_cache_tokens, max_concurrency, with_ranks
from cluster.planner.result import RankMemory
from cluster.units import GIB, MIB
from tests.cluster.planner.memory.specs import attention, dense_layer, halves, llama_8b, model, replica_of

VLLM = load_engine("vllm", "0.24.0")
LIMITS = {"max_model_len": 32768, "max_num_seqs": 256, "max_num_batched_tokens": 2048}


def memory(kv_bytes: int) -> RankMemory:
    return RankMemory(kv_bytes, kv_bytes, 0, 0, 0, 0, kv_bytes)


def layer(mixer: Attention) -> Layer:
    return Layer(mixer, ())


def tokens_of(spec, kv_bytes: int, tp: int = 1, **asked) -> int:  # type: ignore[no-untyped-def]
    replica = replica_of(spec, VLLM, Layout(tp=tp), **{**LIMITS, **asked})
    return kv_cache_tokens(with_ranks(replica, [memory(kv_bytes)]))


def bytes_a_token(spec, context: int, tp: int = 1, engine=VLLM, **asked) -> float:  # type: ignore[no-untyped-def]
    return kv_bytes_per_token(replica_of(spec, engine, Layout(tp=tp), **asked), context)


@pytest.mark.parametrize(("tp", "per_rank"), [(1, 327_680), (8, 40_960), (16, 40_960)])
def test_llama_70b_bytes_a_token(tp: int, per_rank: int) -> None:
    spec = model((dense_layer(8192, attention(64, 8, 128), 28672),) * 80, hidden=8192)
    assert bytes_a_token(spec, 4096, tp) == per_rank


@pytest.mark.parametrize("tp", [1, 8, 16])
def test_a_latent_cache_is_the_same_on_every_rank(tp: int) -> None:
    mixer = Attention(AttentionKind.LATENT, num_heads=128, latent_dim=576)
    spec = model((layer(mixer),) * 61, hidden=7168)
    assert bytes_a_token(spec, 4096, tp) == 70_272
    assert bytes_a_token(spec, 4096, tp, kv_cache_dtype="fp8") == 35_136


def test_before_the_latent_kernel_keys_and_values_were_kept_in_full() -> None:
    mixer = Attention(AttentionKind.LATENT, num_heads=128, head_dim=192, v_head_dim=128, latent_dim=576)
    spec = model((layer(mixer),) * 60, hidden=5120)
    old = load_engine("vllm", "0.5.4")
    assert bytes_a_token(spec, 4096, 8, old) == 60 * 16 * 2 * 256 * 2


def test_sliding_layers_keep_their_window() -> None:
    full = attention(64, 8, 64)
    sliding = replace(full, kind=AttentionKind.SLIDING, window=128)
    spec = model((layer(full), layer(sliding)) * 18, hidden=2880)
    at_4k = bytes_a_token(spec, 4096)
    assert at_4k == 18 * 2048 + 18 * 2048 * 128 / 4096 == 38_016
    assert bytes_a_token(spec, 65536) == 36_936


def test_uniform_tokens_are_whole_blocks() -> None:
    per_token = 32 * 2 * 8 * 128 * 2
    assert tokens_of(llama_8b(), 100 * per_token + 5) == 96
    assert tokens_of(llama_8b(), int(58.11 * GIB)) == pytest.approx(476_016, rel=2e-4)


def test_packed_cache_doubles_the_tokens() -> None:
    assert tokens_of(llama_8b(), GIB, kv_cache_dtype="fp8") == 2 * tokens_of(llama_8b(), GIB)


def test_full_and_sliding_layers_share_a_pool() -> None:
    """48 layers, every sixth full: 6 groups of 8 (gemma-3-12b on vLLM 0.19: 48867 blocks)."""
    full = attention(16, 8, 256)
    sliding = replace(full, kind=AttentionKind.SLIDING, window=1024)
    spec = model(((layer(sliding),) * 5 + (layer(full),)) * 8, hidden=3840)
    # A block is 16 tokens x 8192 B x 8 layers. The windows with a whole prompt in flight need all of it.
    replica = replica_of(spec, VLLM, max_model_len=8192, max_num_seqs=1024, max_num_batched_tokens=8192)
    held = with_ranks(replica, [memory(int(47.72 * GIB))])
    assert max_concurrency(held) == pytest.approx(48867 / (512 + 5 * 513), rel=1e-3)


def test_states_and_attention_share_a_pool() -> None:
    """Qwen3.6-35B-A3B with FP8 cache on vLLM 0.24: 5.98 GiB hold 567,978 tokens at a length of 131,072."""
    full = attention(16, 2, 256)
    state = Attention(
        AttentionKind.STATE,
        num_heads=32,
        state_elements=32 * 128 * 128,
        state_dtype_bytes=4.0,
        conv_elements=3 * 8192,
    )
    spec = model(((layer(state),) * 3 + (layer(full),)) * 10, hidden=2048)
    limits = {"max_model_len": 131072, "max_num_seqs": 1}
    assert tokens_of(spec, int(5.98 * GIB), kv_cache_dtype="fp8", **limits) == 567_978


def test_the_stage_with_least_room_decides() -> None:
    spec = llama_8b()
    replica = replica_of(spec, VLLM, Layout(pp=2), stages=halves(spec), **LIMITS)
    roomy, tight = memory(GIB), memory(512 * MIB)

    def tokens(*rooms: RankMemory) -> int:
        return kv_cache_tokens(with_ranks(replica, rooms))

    assert tokens(roomy, tight) == tokens(tight, tight) < tokens(roomy, roomy)


def test_layers_that_share_a_cache_keep_none() -> None:
    own = attention(16, 8, 128)
    shared = replace(own, kv_shared=True)
    spec = model((layer(own), layer(shared)) * 4, hidden=2048)
    assert bytes_a_token(spec, 100) == 4 * 2 * 8 * 128 * 2
