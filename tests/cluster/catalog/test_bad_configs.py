"""Any config is read, or refused in one line with field and value: there is no other error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.catalog.hf_config import model_from_config
from cluster.catalog.models import load_model
from cluster.errors import BadInput
from tests.cluster.catalog.configs import EVERY, sized

LLAMA = sized("llama")
ABSURD = [-1, 0, True, 1.5, float("nan"), float("inf"), 10**30, "many", [], {}, [1, "x"], -(10**400)]


@pytest.mark.parametrize("value", ABSURD, ids=repr)
@pytest.mark.parametrize(
    "field", ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "intermediate_size"]
)
def test_absurd_sizes_are_refused_by_field_and_value(field: str, value: Any) -> None:
    with pytest.raises(BadInput) as caught:
        model_from_config({**LLAMA, field: value}, "bad", "here/config.json")
    line = caught.value.one_line()
    assert field in line and "here/config.json" in line
    assert len(line) < 400


@pytest.mark.parametrize("field", ["hidden_size", "num_hidden_layers", "vocab_size", "intermediate_size"])
def test_a_missing_size_is_named(field: str) -> None:
    config = {name: value for name, value in LLAMA.items() if name != field}
    with pytest.raises(BadInput, match=f"has no {field}"):
        model_from_config(config, "bad", "config.json")


@pytest.mark.parametrize("config", [[], "text", 7, None, True])
def test_a_config_that_is_not_an_object_is_refused(config: Any) -> None:
    with pytest.raises(BadInput):
        model_from_config(config, "bad", "config.json")


def test_a_hundred_digits_do_not_reach_the_screen() -> None:
    with pytest.raises(BadInput) as caught:
        model_from_config({**LLAMA, "num_hidden_layers": 10**5000}, "bad", "config.json")
    assert "5001 digits" in caught.value.message


def test_control_characters_do_not_reach_the_screen() -> None:
    model = model_from_config({**LLAMA, "architectures": ["\x1b[31mEvil\x07"]}, "bad", "config.json")
    assert "\x1b" not in model.architecture
    model = model_from_config({**LLAMA, "model_type": "\x1b[2Jnew"}, "bad", "config.json")
    assert not any("\x1b" in note for note in model.notes)


def test_an_unknown_architecture_is_planned_with_a_note() -> None:
    config = {**LLAMA, "model_type": "brand_new", "architectures": ["BrandNewForCausalLM"]}
    model = model_from_config(config, "new", "config.json")
    assert not model.known_architecture
    assert "BrandNewForCausalLM" in model.notes[0]
    assert model.parameters == model_from_config(LLAMA, "known", "config.json").parameters


def test_an_unknown_architecture_may_leave_out_its_width() -> None:
    config = {**LLAMA, "model_type": "brand_new"}
    stated = model_from_config({**config, "intermediate_size": 4 * config["hidden_size"]}, "new", "test")
    unstated = model_from_config({**config, "intermediate_size": None}, "new", "test")
    assert unstated.parameters == stated.parameters
    assert not unstated.known_architecture


def test_an_unknown_hybrid_may_leave_out_its_head_dim() -> None:
    config = {**LLAMA, "model_type": "brand_new", "layer_types": ["mamba", "attention"] * 2}
    model = model_from_config({**config, "n_mamba_heads": 4}, "new", "test")
    assert model.layers[0].attention.num_heads == 4
    assert model.layers[0].attention.head_dim == 2 * config["hidden_size"] // 4


def test_a_model_of_state_layers_alone_may_have_draft_layers() -> None:
    """None of its layers has an MLP that a draft layer could copy."""
    config = {"model_type": "mamba", "hidden_size": 256, "num_hidden_layers": 4, "vocab_size": 1000}
    model = model_from_config({**config, "num_nextn_predict_layers": 1}, "new", "test")
    assert len(model.draft_layers) == 1


def test_a_decoder_is_planned_without_its_encoder_with_a_note() -> None:
    config = {
        "model_type": "bart",
        "d_model": 256,
        "decoder_layers": 4,
        "decoder_attention_heads": 8,
        "decoder_ffn_dim": 512,
        "vocab_size": 1000,
        "is_encoder_decoder": True,
    }
    model = model_from_config(config, "new", "test")
    assert (model.num_layers, model.num_attention_heads, model.intermediate_size) == (4, 8, 512)
    assert "The encoder is not counted" in model.notes[-1]


def test_an_audio_encoder_of_an_unknown_kind_is_noted() -> None:
    model = model_from_config({**LLAMA, "audio_config": {"model_type": "brand_new"}}, "new", "test")
    assert not model.known_architecture
    assert "audio encoder" in model.notes[-1]


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**32), 10**32),
    st.integers(0, 300),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=12),
    st.lists(st.one_of(st.integers(-2, 200), st.text(max_size=6), st.none()), max_size=6),
    st.dictionaries(st.text(max_size=8), st.one_of(st.integers(-2, 9), st.text(max_size=4)), max_size=3),
)
FIELDS = sorted(
    {name for config in EVERY for name in config}
    | {"architectures", "layer_types", "quantization_config", "text_config", "vision_config", "block_configs"}
    | {"rope_scaling", "rope_parameters", "moe_layers", "mlp_layer_types", "sliding_window", "dtype"}
    | {
        "tie_word_embeddings",
        "num_nextn_predict_layers",
        "compress_ratios",
        "moe_layer_freq",
        "hf_quant_config",
    }
)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    base=st.sampled_from(EVERY),
    changes=st.dictionaries(st.sampled_from(FIELDS), VALUES, min_size=1, max_size=4),
    dropped=st.lists(st.sampled_from(FIELDS), max_size=2),
)
def test_a_mutated_config_is_read_or_refused(
    base: dict[str, Any], changes: dict[str, Any], dropped: list[str]
) -> None:
    config = {name: value for name, value in {**base, **changes}.items() if name not in dropped}
    try:
        model = model_from_config(config, "mutated", "config.json")
    except BadInput as error:
        assert "\n" not in error.one_line()
        return
    assert model.parameters > 0 and model.num_layers > 0
    assert model.weights_bytes > 0


QUANTIZATION_FIELDS = [
    "quant_method",
    "bits",
    "group_size",
    "weight_block_size",
    "ignore",
    "modules_to_not_convert",
    "config_groups",
    "quant_algo",
    "quantized_layers",
    "kv_cache_scheme",
    "zero_point",
    "dynamic",
]
SECTION = st.dictionaries(
    st.sampled_from(QUANTIZATION_FIELDS),
    st.one_of(
        VALUES,
        st.sampled_from(
            ["fp8", "awq", "gptq", "modelopt", "compressed-tensors", "mxfp4", "bitsandbytes", "NVFP4"]
        ),
        st.lists(st.sampled_from(["re:(", "re:.*", "*", "[", "lm_head", "layers.1", ""]), max_size=3),
    ),
    max_size=4,
)


@settings(max_examples=300, deadline=None)
@given(section=SECTION)
def test_a_mutated_quantization_is_read_or_refused(section: dict[str, Any]) -> None:
    try:
        model = model_from_config({**LLAMA, "quantization_config": section}, "mutated", "config.json")
    except BadInput as error:
        assert "\n" not in error.one_line()
        return
    assert model.weights_bytes > 0


@settings(max_examples=200, deadline=None)
@given(text=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_file_is_read_or_refused(text: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("model") / "config.json"
    path.write_bytes(text)
    with pytest.raises(BadInput):
        load_model(str(path))


def test_a_deeply_nested_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"a":' * 100_000)
    with pytest.raises(BadInput):
        load_model(str(tmp_path))


def test_a_truncated_file_is_refused_with_line_and_column(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA, indent=1)[:60])
    with pytest.raises(BadInput, match=r"not JSON: .* line \d+ column \d+"):
        load_model(str(tmp_path))
