"""Figures that are published or follow from published shapes: parameters, and cache bytes per token."""

from __future__ import annotations

import pytest

from cluster.catalog.model_spec import AttentionKind, ModelSpec
from cluster.catalog.models import load_model


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", 8_030_261_248),
        ("meta-llama/Llama-3.1-70B-Instruct", 70_553_706_496),
        ("meta-llama/Llama-3.1-405B-Instruct", 405_853_388_800),
        ("meta-llama/Llama-2-7b-hf", 6_738_415_616),
        ("Qwen/Qwen2.5-0.5B", 494_032_768),
        ("Qwen/Qwen3-235B-A22B", 235_093_634_560),
        ("mistralai/Mixtral-8x7B-v0.1", 46_702_792_704),
        ("openai/gpt-oss-120b", 116_829_156_672),
        ("openai/gpt-oss-20b", 20_914_757_184),
    ],
)
def test_parameters_are_exact(name: str, parameters: int) -> None:
    assert load_model(name).parameters == parameters


@pytest.mark.parametrize(
    ("name", "total", "active"),
    [
        ("deepseek-ai/DeepSeek-V3", 671e9, 37e9),
        ("moonshotai/Kimi-K2-Instruct", 1026e9, 32e9),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", 80e9, 3.9e9),
        ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", 31.6e9, 3.6e9),
        ("zai-org/GLM-5", 744e9, 41e9),
        ("deepseek-ai/DeepSeek-V4-Flash", 284e9, 13.5e9),
        ("moonshotai/Kimi-K3", 2.78e12, 105e9),
        ("google/gemma-3-27b-it", 27.43e9, 27.43e9),
        ("mistralai/Mistral-Small-3.2-24B-Instruct-2506", 24.01e9, 24.01e9),
    ],
)
def test_parameters_are_as_published(name: str, total: float, active: float) -> None:
    model = load_model(name)
    assert model.parameters == pytest.approx(total, rel=0.01)
    assert model.active_parameters == pytest.approx(active, rel=0.05)


def cache_bytes_per_token(model: ModelSpec, context: int, element_bytes: int = 2) -> float:
    """Cache bytes of one sequence of `context` tokens, a token, before tensor parallelism."""
    total = 0
    for attention in (layer.attention for layer in model.layers if not layer.attention.kv_shared):
        kept = min(context, attention.window or context)
        if attention.kind is AttentionKind.LATENT:
            total += context * attention.latent_dim * element_bytes
        elif attention.kind in (AttentionKind.FULL, AttentionKind.SLIDING, AttentionKind.CHUNKED):
            total += (
                kept * attention.num_kv_heads * (attention.head_dim + attention.v_head_dim) * element_bytes
            )
    return total / context


@pytest.mark.parametrize(
    ("name", "context", "expected"),
    [
        ("meta-llama/Llama-3.1-70B-Instruct", 8192, 327_680),
        ("Qwen/Qwen3-235B-A22B", 8192, 192_512),
        ("deepseek-ai/DeepSeek-V3", 8192, 70_272),
        ("openai/gpt-oss-120b", 4096, 38_016),
        ("openai/gpt-oss-120b", 65536, 36_936),
        ("mistralai/Mistral-Small-3.2-24B-Instruct-2506", 8192, 163_840),
    ],
)
def test_cache_bytes_a_token(name: str, context: int, expected: int) -> None:
    assert cache_bytes_per_token(load_model(name), context) == expected


def test_a_hybrid_keeps_state_in_three_of_four_layers() -> None:
    model = load_model("Qwen/Qwen3-Next-80B-A3B-Instruct")
    kinds = [layer.attention.kind for layer in model.layers]
    assert kinds[:4] == [AttentionKind.STATE] * 3 + [AttentionKind.FULL]
    state = model.layers[0].attention
    assert state.state_elements == 32 * 128 * 128
    assert state.conv_elements == 8192 * 3


def test_sparse_latent_layers_keep_an_index() -> None:
    attention = load_model("deepseek-ai/DeepSeek-V3.2").layers[0].attention
    assert (attention.latent_dim, attention.index_dim) == (576, 128)
    assert attention.index_dim * attention.index_bytes == 132


def test_shared_indexers_are_kept_once() -> None:
    model = load_model("zai-org/GLM-5.2")
    indexed = [layer.attention.index_dim > 0 for layer in model.layers]
    assert 0 < sum(indexed) < model.num_layers


def test_global_layers_have_their_own_heads() -> None:
    model = load_model("google/gemma-4-31B-it")
    by_kind = {layer.attention.kind: layer.attention for layer in model.layers}
    full, sliding = by_kind[AttentionKind.FULL], by_kind[AttentionKind.SLIDING]
    assert (full.head_dim, full.num_kv_heads) == (512, 4)
    assert (sliding.head_dim, sliding.num_kv_heads, sliding.window) == (256, 16, 1024)


def test_draft_layers_are_kept_separate() -> None:
    model = load_model("deepseek-ai/DeepSeek-V3")
    assert len(model.draft_layers) == 1
    drafted = sum(tensor.parameters for tensor in model.draft_layers[0].tensors)
    assert drafted == pytest.approx(11.6e9, rel=0.02)


def test_equal_layers_are_one_object() -> None:
    model = load_model("meta-llama/Llama-3.1-405B-Instruct")
    assert len({id(layer) for layer in model.layers}) == 1


def test_a_searched_architecture_differs_layer_by_layer() -> None:
    model = load_model("nvidia/Llama-3_3-Nemotron-Super-49B-v1")
    widths = {layer.intermediate_size for layer in model.layers}
    assert len(widths) > 5
    assert model.parameters == pytest.approx(49.87e9, rel=0.001)
    assert any(layer.attention.kind is AttentionKind.NONE for layer in model.layers)
