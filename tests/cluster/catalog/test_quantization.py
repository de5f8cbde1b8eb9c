"""quantization_config of every common method: formats, modules left plain, bytes."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.catalog.hf_config import model_from_config
from cluster.catalog.model_spec import Layer, ModelSpec
from cluster.catalog.models import load_model
from cluster.errors import BadInput
from tests.cluster.catalog.configs import sized

LLAMA = sized("llama", hidden_size=1024, intermediate_size=4096, num_hidden_layers=4)
SPARSE = sized("qwen3_moe", num_experts=8, moe_intermediate_size=128, num_experts_per_tok=2)


def read(config: dict[str, Any], quantization: dict[str, Any] | None = None) -> ModelSpec:
    stored = {"quantization_config": quantization} if quantization else {}
    return model_from_config({**config, **stored}, "small", "test")


def formats(layer: Layer) -> dict[str, str]:
    return {tensor.name: tensor.format.name for tensor in layer.tensors}


GROUP: dict[str, Any] = {"targets": ["Linear"], "input_activations": None}


@pytest.mark.parametrize(
    ("quantization", "name", "bits_with_scales"),
    [
        ({"quant_method": "fp8", "activation_scheme": "static"}, "fp8", 8.0),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8", 8 + 32 / 128**2),
        ({"quant_method": "fbgemm_fp8"}, "fp8", 8 + 32 / 1024),
        ({"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}, "int4", 4 + 20 / 128),
        ({"quant_method": "gptq", "bits": 8, "group_size": 128}, "int8", 8 + 24 / 128),
        ({"quant_method": "gptq", "bits": 4, "group_size": -1}, "int4", 4 + 20 / 1024),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "nf4", 4 + 32 / 64),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "int8", 8 + 32 / 1024),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16}, "nvfp4", 4.5),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, "fp8", 8.0),
        ({"quant_method": "some_new_method", "bits": 4, "group_size": 64}, "int4", 4 + 20 / 64),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {
                    "group_0": {
                        **GROUP,
                        "weights": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128},
                    }
                },
            },
            "int4",
            4 + 16 / 128,
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {
                    "group_0": {**GROUP, "weights": {"num_bits": 8, "type": "float", "strategy": "channel"}}
                },
            },
            "fp8",
            8 + 32 / 1024,
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {
                    "group_0": {
                        **GROUP,
                        "weights": {"num_bits": 4, "type": "float", "strategy": "group", "group_size": 32},
                    }
                },
            },
            "mxfp4",
            4.25,
        ),
    ],
)
def test_linear_weights_take_the_methods_format(
    quantization: dict[str, Any], name: str, bits_with_scales: float
) -> None:
    model = read(LLAMA, quantization)
    tensor = next(t for t in model.layers[0].tensors if t.name == "mlp.up_proj")
    assert tensor.format.name == name
    assert tensor.size_bytes * 8 / tensor.parameters == pytest.approx(bits_with_scales, rel=2e-3)
    assert model.embedding.format.name == "bf16"
    assert model.head is not None and model.head.format.name == "bf16"
    norms = [t for t in model.layers[0].tensors if t.in_features == 1]
    assert norms and all(t.format.name == "bf16" for t in norms)


@pytest.mark.parametrize(
    "patterns",
    [
        ["model.layers.1.self_attn.q_proj"],
        ["layers.1.self_attn.q_proj"],
        ["model.layers.1.self_attn.q*"],
        ["re:model\\.layers\\.1\\.self_attn\\.q_proj"],
        ["language_model.model.layers.1.self_attn.q_proj"],
    ],
)
def test_modules_are_left_out_by_layer(patterns: list[str]) -> None:
    model = read(LLAMA, {"quant_method": "fp8", "modules_to_not_convert": patterns})
    assert formats(model.layers[0])["self_attn.q_proj"] == "fp8"
    assert formats(model.layers[1])["self_attn.q_proj"] == "bf16"
    assert formats(model.layers[1])["self_attn.k_proj"] == "fp8"


@pytest.mark.parametrize("pattern", ["self_attn", "*self_attn*", "re:.*self_attn.*", "*.self_attn.*"])
def test_modules_are_left_out_everywhere(pattern: str) -> None:
    model = read(LLAMA, {"quant_method": "compressed-tensors", "ignore": [pattern], "config_groups": {}})
    assert not model.quantization or formats(model.layers[0])["self_attn.q_proj"] == "bf16"
    model = read(LLAMA, {"quant_method": "awq", "bits": 4, "modules_to_not_convert": [pattern]})
    assert {formats(layer)["self_attn.o_proj"] for layer in model.layers} == {"bf16"}
    assert {formats(layer)["mlp.up_proj"] for layer in model.layers} == {"int4"}


def test_routers_stay_plain() -> None:
    names = formats(read(SPARSE, {"quant_method": "fp8"}).layers[0])
    assert names["mlp.gate"] == "bf16"
    assert names["mlp.experts.0.up_proj"] == "fp8"


def test_mxfp4_converts_experts_only() -> None:
    model = load_model("openai/gpt-oss-120b")
    names = formats(model.layers[0])
    assert names["mlp.experts.0.up_proj"] == "mxfp4"
    assert names["self_attn.q_proj"] == "bf16"
    assert model.weights_bytes == pytest.approx(60.77 * 2**30, rel=0.002)


def test_mixed_precision_goes_module_by_module() -> None:
    model = load_model("nvidia/MiniMax-M3-NVFP4")
    names = formats(model.layers[10])
    assert names["self_attn.q_proj"] == "mxfp8"
    assert names["block_sparse_moe.experts.0.up_proj"] == "nvfp4"


def test_an_fp8_checkpoint_may_hold_fp4_experts() -> None:
    names = formats(load_model("deepseek-ai/DeepSeek-V4-Flash").layers[10])
    assert names["ffn.experts.0.up_proj"] == "mxfp4"
    assert names["attn.q_b_proj"] == "fp8"


def test_a_cache_dtype_is_read() -> None:
    quantization = load_model("nvidia/GLM-5.1-NVFP4").quantization
    assert quantization is not None and quantization.kv_cache_dtype == "fp8"


@pytest.mark.parametrize("method", ["fp8", "awq", "gptq", "int8", "nvfp4", "mxfp4", "bitsandbytes", "w4a16"])
def test_a_plain_model_is_planned_quantized(method: str) -> None:
    plain = model_from_config(LLAMA, "small", "test")
    variant = model_from_config(LLAMA, "small", "test", quantization=method)
    assert variant.quantization is not None
    assert variant.weights_bytes < 0.62 * plain.weights_bytes
    assert variant.parameters == plain.parameters


def test_the_checkpoints_own_method_may_be_repeated() -> None:
    config = {**LLAMA, "quantization_config": {"quant_method": "awq", "bits": 4}}
    assert model_from_config(config, "small", "test", quantization="awq_marlin").quantization is not None
    with pytest.raises(BadInput, match="awq"):
        model_from_config(config, "small", "test", quantization="fp8")


def test_an_unknown_method_is_noted() -> None:
    with pytest.raises(BadInput, match="'q9'") as caught:
        model_from_config(LLAMA, "small", "test", quantization="q9")
    assert "fp8" in caught.value.hint
    model = read(LLAMA, {"quant_method": "some_new_method"})
    assert any("some_new_method" in note for note in model.notes)


def test_dtype_decides_the_plain_format() -> None:
    assert (
        model_from_config(LLAMA, "small", "test", dtype="float32").weights_bytes
        == 2 * read(LLAMA).weights_bytes
    )
    assert read({**LLAMA, "torch_dtype": "float32"}).dtype == "bf16"
    assert read({**LLAMA, "torch_dtype": "float16"}).dtype == "fp16"
    with pytest.raises(BadInput, match="float8"):
        model_from_config(LLAMA, "small", "test", dtype="float8")
