"""What an engine refuses at one version and runs at another, as its data file says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.catalog.engine_catalog import load_engine
from cluster.catalog.engine_profile.support import NotYet
from cluster.catalog.engine_version import parse_version
from cluster.catalog.gpus import find_gpu
from cluster.catalog.model_spec import Attention, AttentionKind, Quantization, Vision
from cluster.planner.launch import launch_on
from cluster.planner.layout import Layout
from cluster.planner.memory import replica_memory
from cluster.planner.memory.cache_layers import cache_layer
from cluster.planner.replica import RankGpu
from cluster.planner.request import PlanRequest
from cluster.planner.rule import Rule
from cluster.planner.rules import layout_rejections, memory_notes, memory_rejections
from cluster.planner.workload import format_notes
from cluster.units import GIB
from tests.cluster.planner.memory.specs import AWQ, llama_8b, replica_of

T4, RTX_3090 = find_gpu("T4"), find_gpu("RTX-3090")
WHOLE = Layout()


def rules(spec, layout=WHOLE, version="0.24.0", gpu=None, engine="vllm", **asked) -> list[str]:  # type: ignore[no-untyped-def]
    found = layout_rejections(spec, layout, gpu, load_engine(engine, version), PlanRequest(**asked))
    return [rejection.rule for rejection in found]


@pytest.mark.parametrize(
    ("architecture", "version", "refused"),
    [
        ("Llama4ForConditionalGeneration", "0.8.3", True),
        ("Llama4ForConditionalGeneration", "0.8.4", False),
        ("MllamaForConditionalGeneration", "0.6.2", True),
        ("MllamaForConditionalGeneration", "0.9.0", True),
        ("Gemma2ForCausalLM", "0.6.2", True),
        ("Gemma2ForCausalLM", "0.6.3", False),
        ("Step3p5ForCausalLM", "0.16.0", True),
    ],
)
def test_pipeline_stages_by_architecture(architecture: str, version: str, refused: bool) -> None:
    spec = replace(llama_8b(), architecture=architecture)
    assert rules(spec, Layout(pp=2), version) == ([Rule.PP_UNSUPPORTED] if refused else [])
    assert rules(spec, Layout(), version) == []


def test_heads_of_a_vision_tower_must_divide_if_the_engine_splits_them() -> None:
    tower = Vision((), num_heads=12, divides_heads=True)
    seeing = replace(llama_8b(), vision=tower)
    assert rules(seeing, Layout(tp=8)) == [Rule.HEADS_NOT_DIVISIBLE]
    assert rules(seeing, Layout(tp=4)) == []
    assert rules(replace(seeing, vision=replace(tower, divides_heads=False)), Layout(tp=8)) == []
    assert rules(seeing, Layout(tp=8), "0.5.12", engine="sglang") == []


@pytest.mark.parametrize(
    ("version", "gpu", "refused"),
    [("0.23.0", T4, False), ("0.24.0", T4, True), ("0.24.0", RTX_3090, False)],
)
def test_fp8_caches_need_kernels(version: str, gpu: object, refused: bool) -> None:
    found = rules(llama_8b(), version=version, gpu=gpu, kv_cache_dtype="fp8")
    assert found == ([Rule.DTYPE_UNSUPPORTED] if refused else [])
    gemma = replace(llama_8b(), architecture="Gemma4ForConditionalGeneration")
    assert rules(gemma, version="0.25.0", gpu=RTX_3090, kv_cache_dtype="fp8") == [Rule.DTYPE_UNSUPPORTED]


def test_weights_stored_by_bitsandbytes_stay_whole() -> None:
    stored = replace(llama_8b(), quantization=Quantization("bitsandbytes", AWQ))
    assert Rule.QUANTIZATION_UNSUPPORTED in rules(stored, Layout(tp=2))
    assert rules(stored, Layout(pp=2)) == []
    on_load = replace(stored, quantization=Quantization("bitsandbytes", AWQ, on_request=True))
    assert rules(on_load, Layout(tp=2)) == []


def test_models_that_overflow_in_fp16_need_bf16_or_fp32() -> None:
    gemma = replace(llama_8b(), architecture="Gemma2ForCausalLM")
    assert rules(gemma, gpu=T4) == [Rule.DTYPE_UNSUPPORTED]
    assert rules(gemma, gpu=T4, dtype="fp32") == []
    assert rules(llama_8b(), gpu=T4) == []


def test_batch_defaults_depend_on_the_gpu_name() -> None:
    """MiniMax-M2 on four A800 has 5.6 GiB less room than on four A100: it samples 1024 sequences."""
    engine = load_engine("vllm", "0.13.0")
    for name, seqs in (("A100-80GB", 256), ("A800-80GB", 1024), ("H100", 1024)):
        gpu = find_gpu(name)
        limits = launch_on(llama_8b(), engine, PlanRequest(), gpu.memory_bytes, gpu)
        assert limits.max_num_seqs == seqs


def test_latent_entries_were_padded_before_v1() -> None:
    latent = Attention(AttentionKind.LATENT, num_heads=128, num_kv_heads=1, head_dim=128, latent_dim=576)
    sizes = []
    for version in ("0.7.2", "0.7.3", "0.8.0"):
        kept = cache_layer(latent, 8, 2, load_engine("vllm", version))
        sizes.append(kept.bytes_per_token if kept else 0)
    assert sizes == [1152, 1280, 1152]


def test_sglang_serves_with_less_cache_than_its_longest_request() -> None:
    gpu = RankGpu(24 * GIB, 24 * GIB, RTX_3090)
    held = replica_memory(replica_of(llama_8b(), load_engine("sglang"), gpu=gpu, max_model_len=131072))
    assert memory_rejections(held) == ()
    assert "do not fit the KV cache" in memory_notes(held)[0]


@pytest.mark.parametrize(
    ("architecture", "first", "before"),
    [
        ("MixtralForCausalLM", "0.2.4", "0.2.3"),
        ("Gemma2ForCausalLM", "0.5.1", "0.5.0.post1"),
        ("Qwen2VLForConditionalGeneration", "0.6.1", "0.6.0"),
        ("DeepseekV3ForCausalLM", "0.6.6", "0.6.5"),
        ("Gemma3ForConditionalGeneration", "0.8.0", "0.5.0"),
        ("Qwen3ForCausalLM", "0.8.4", "0.6.0"),
        ("GptOssForCausalLM", "0.10.1", "0.10.0"),
        ("Gemma4ForConditionalGeneration", "v0.19.0", "0.18.1"),
    ],
)
def test_models_that_came_later_are_refused(architecture: str, first: str, before: str) -> None:
    spec = replace(llama_8b(), architecture=architecture)
    assert rules(spec, WHOLE, before) == [Rule.ENGINE_UNSUPPORTED]
    assert rules(spec, WHOLE, first) == rules(spec, WHOLE, f"{before}.dev7") == []


def test_the_refusal_names_the_first_version() -> None:
    spec = replace(llama_8b(), architecture="Qwen3MoeForCausalLM")
    found = layout_rejections(spec, WHOLE, None, load_engine("vllm", "0.7.0"), PlanRequest())
    assert [r.message for r in found] == [
        "vllm 0.7.0 does not support Qwen3MoeForCausalLM; vllm 0.8.4 and later do"
    ]


def test_rotary_scaling_came_with_its_model() -> None:
    scaled = replace(llama_8b(), rope_type="llama3")
    assert rules(scaled, WHOLE, "0.5.2") == [Rule.ENGINE_UNSUPPORTED]
    assert rules(scaled, WHOLE, "0.5.3") == rules(llama_8b(), WHOLE, "0.5.2") == []


def test_every_first_version_is_one() -> None:
    oldest = load_engine("vllm", "0.0.1").not_yet.architectures
    assert len(oldest) > 50
    assert all(parse_version(first) <= parse_version("0.33.0") for first in oldest.values())
    assert load_engine("vllm").not_yet == load_engine("sglang", "0.1").not_yet == NotYet({}, {})


@pytest.mark.parametrize(
    ("method", "dtype", "version", "refused"),
    [
        ("awq", "fp32", "0.33.0", True),
        ("awq", "bf16", "0.5.0", True),
        ("awq", "bf16", "0.6.0", False),
        ("awq", "fp16", "0.2.0", False),
        ("gptq", "fp32", "0.33.0", True),
        ("fp8", "fp32", "0.33.0", True),
        ("fp8", "fp16", "0.33.0", False),
        ("mxfp4", "fp16", "0.11.0", True),
        ("mxfp4", "bf16", "0.11.0", False),
        ("bitsandbytes", "fp32", "0.11.0", False),
    ],
)
def test_quantized_kernels_support_some_dtypes(method: str, dtype: str, version: str, refused: bool) -> None:
    spec = replace(llama_8b(), dtype=dtype, quantization=Quantization(method, AWQ))
    assert rules(spec, WHOLE, version, dtype=dtype) == ([Rule.DTYPE_UNSUPPORTED] if refused else [])
    # The kernels' dtypes override what the config states.
    assert rules(spec, WHOLE, version) == []


def test_tensorrt_llm_runs_its_listed_architectures() -> None:
    for architecture, found in (("BloomForCausalLM", [Rule.ENGINE_UNSUPPORTED]), ("Qwen3ForCausalLM", [])):
        spec = replace(llama_8b(), architecture=architecture)
        assert rules(spec, WHOLE, "1.2.0", engine="tensorrt-llm") == found
    unnamed = replace(llama_8b(), architecture="")
    assert rules(unnamed, WHOLE, "1.2.0", engine="tensorrt-llm") == []


@pytest.mark.parametrize(("version", "noted"), [("99.0", True), ("0.33.0", False), ("0.10.0", False)])
def test_an_unknown_version_is_noted(version: str, noted: bool) -> None:
    notes = format_notes(llama_8b(), load_engine("vllm", version), PlanRequest())
    assert notes == ((f"vllm {version} is newer than the data: planned as 0.33.0",) if noted else ())
