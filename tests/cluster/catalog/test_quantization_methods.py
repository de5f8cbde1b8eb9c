"""Quantization methods that name number types in their own way."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.catalog.hf_config.read_model import model_from_config
from cluster.catalog.model_spec import ModelSpec

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 2,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 32000,
}


def read(section: dict[str, Any]) -> ModelSpec:
    return model_from_config({**LLAMA, "quantization_config": section}, "m", "test")


@pytest.mark.parametrize(
    ("section", "method", "stored", "activation"),
    [
        (
            {"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp8_e4m3"}}},
            "quark",
            "fp8",
            None,
        ),
        (
            {
                "quant_method": "quark",
                "global_quant_config": {"weight": {"dtype": "fp4"}, "input_tensors": {"dtype": "fp4"}},
            },
            "quark",
            "mxfp4",
            None,
        ),
        (
            {"quant_method": "torchao", "quant_type": {"default": {"_type": "Int4WeightOnlyConfig"}}},
            "torchao",
            "int4",
            None,
        ),
        ({"quant_method": "torchao", "quant_type": "int8_weight_only"}, "torchao", "int8", None),
        ({"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4}}}, "hqq", "int4", None),
        ({"quant_method": "bitnet"}, "bitnet", "int2", "int8"),
    ],
)
def test_the_number_type_is_read(
    section: dict[str, Any], method: str, stored: str, activation: str | None
) -> None:
    spec = read(section)
    assert spec.quantization is not None
    assert spec.quantization.method == method
    assert spec.quantization.weight_format.name == stored
    assert spec.quantization.activation_dtype == activation
    assert {t.format.name for t in spec.layers[0].tensors if t.name.endswith("up_proj")} == {stored}


def test_a_type_that_is_not_known_says_so() -> None:
    spec = read({"quant_method": "torchao", "quant_type": "int1_weight_only"})
    assert any("int1_weight_only" in note for note in spec.notes)


def test_a_text_section_may_leave_out_what_equals_its_class() -> None:
    spec = model_from_config(
        {"model_type": "llava", "text_config": {"model_type": "llama", "vocab_size": 32064}}, "m", "test"
    )
    assert len(spec.layers) == 32
    assert spec.hidden_size == 4096
