"""A config is read as transformers reads it, or refused with the field's name."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.catalog.model_spec import ModelSpec
from cluster.catalog.models import load_config, load_model, model_names
from cluster.errors import BadInput
from cluster.runtime.config import ModelConfig, read_model_config

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 100,
}


def test_old_and_new_rope_fields_mean_the_same() -> None:
    scaling = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    old = LLAMA | {"rope_theta": 5e5, "rope_scaling": {"type": "llama3", **scaling}}
    new = LLAMA | {"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5, **scaling}}
    assert read_model_config(old).rope == read_model_config(new).rope
    assert read_model_config(old).rope.theta == 5e5


def test_windows_follow_each_family() -> None:
    mistral = LLAMA | {"architectures": ["MistralForCausalLM"]}
    qwen = LLAMA | {"architectures": ["Qwen2ForCausalLM"], "sliding_window": 16, "max_window_layers": 3}
    assert read_model_config(LLAMA).windows == (None,) * 4
    assert read_model_config(mistral).windows == (4096,) * 4
    assert read_model_config(mistral | {"sliding_window": None}).windows == (None,) * 4
    assert read_model_config(qwen).windows == (None,) * 4
    assert read_model_config(qwen | {"use_sliding_window": True}).windows == (None, None, None, 16)


def test_model_type_serves_where_no_architecture_is_named() -> None:
    config = LLAMA | {"architectures": None, "model_type": "qwen3"}
    assert read_model_config(config).qk_norm
    assert read_model_config(config).head_dim == 128


@pytest.mark.parametrize("name", ["MixtralForCausalLM", "LlamaForSequenceClassification", "\x1b[31mx"])
def test_another_architecture_is_refused_with_what_is_supported(name: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_model_config(LLAMA | {"architectures": [name], "model_type": "llama"})
    assert "\x1b" not in caught.value.one_line()
    assert "LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM" in caught.value.hint


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_size", None),
        ("num_hidden_layers", -1),
        ("num_hidden_layers", 10**30),
        ("num_attention_heads", True),
        ("vocab_size", "100"),
        ("vocab_size", math.nan),
        ("num_key_value_heads", 3),
        ("head_dim", 7),
        ("rms_norm_eps", math.nan),
        ("rms_norm_eps", 10**400),
        ("hidden_act", "gelu"),
        ("tie_word_embeddings", "yes"),
        ("eos_token_id", "</s>"),
        ("rope_scaling", {"rope_type": "longrope"}),
        ("rope_scaling", {"rope_type": "linear"}),
        ("rope_scaling", [1]),
        ("quantization_config", {"quant_method": "awq"}),
    ],
)
def test_a_bad_field_is_named_in_one_line(field: str, value: object) -> None:
    with pytest.raises(BadInput) as caught:
        read_model_config(LLAMA | {field: value})
    line = caught.value.one_line()
    assert "\n" not in line
    assert field in line or "rope" in line or "awq" in line


NUMBERS = [name for name in LLAMA if name != "architectures"] + ["head_dim", "max_position_embeddings"]


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize(
    "value", [[4], [4, 4], [1, True], True, "4", 4.0, {}, 10**400], ids=lambda v: str(v)[:9]
)
def test_one_number_is_a_number(field: str, value: object) -> None:
    with pytest.raises(BadInput) as caught:
        read_model_config(LLAMA | {field: value})
    assert field in caught.value.one_line()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dtype", ["bfloat16"]),
        ("torch_dtype", 16),
        ("tie_word_embeddings", [True]),
        ("attention_bias", 1),
        ("eos_token_id", 10**400),
        ("eos_token_id", [1, True]),
        ("rms_norm_eps", [1e-5]),
        ("rope_theta", [1e4]),
        ("rope_scaling", {"rope_type": ["linear"], "factor": 2.0}),
        ("rope_scaling", {"rope_type": "linear", "factor": [2.0]}),
        ("rope_scaling", {"rope_type": "yarn", "factor": 2.0, "truncate": "no"}),
        ("rope_scaling", {"rope_type": "yarn", "factor": 2.0, "mscale": [1.0]}),
    ],
)
def test_other_kinds_are_refused_by_field(field: str, value: object) -> None:
    with pytest.raises(BadInput) as caught:
        read_model_config(LLAMA | {field: value})
    line = caught.value.one_line()
    assert field in line or "rope" in line


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [
    *LLAMA,
    "rope_scaling",
    "rope_parameters",
    "sliding_window",
    "layer_types",
    "head_dim",
    "rope_theta",
]


@given(
    st.dictionaries(st.sampled_from(FIELDS), JSON), st.sampled_from(["Llama", "Mistral", "Qwen2", "Qwen3"])
)
def test_any_config_is_read_or_refused(changes: dict[str, Any], family: str) -> None:
    config = {**LLAMA, **changes}
    if "architectures" not in changes:
        config["architectures"] = [f"{family}ForCausalLM"]
    try:
        model = read_model_config(config)
    except BadInput as refused:
        assert refused.message
    else:
        assert model.num_heads % model.num_kv_heads == 0
        assert len(model.windows) == model.num_layers


def sizes_that_run(config: ModelConfig) -> tuple[object, ...]:
    heads = (config.num_heads, config.num_kv_heads, config.head_dim)
    widths = (config.hidden_size, config.intermediate_size, config.vocab_size)
    return (*heads, *widths, config.max_position, config.tied_embeddings, config.windows)


def sizes_that_are_planned(model: ModelSpec) -> tuple[object, ...]:
    heads = (model.num_attention_heads, model.num_kv_heads, model.head_dim)
    widths = (model.hidden_size, model.intermediate_size, model.vocab_size)
    windows = tuple(layer.attention.window for layer in model.layers)
    return (*heads, *widths, model.max_position, model.tied_embeddings, windows)


def test_what_is_planned_is_what_runs() -> None:
    """The planner and the built-in engine read the same sizes from every config that both take."""
    compared, differing = 0, []
    for name in model_names():
        try:
            config = read_model_config(load_config(name))
        except BadInput:
            continue
        compared += 1
        if sizes_that_run(config) != sizes_that_are_planned(load_model(name)):
            differing.append(name)
    assert compared > 100
    assert differing == []


def test_a_field_is_named_as_the_file_spells_it() -> None:
    with pytest.raises(BadInput) as caught:
        read_model_config({key: LLAMA[key] for key in LLAMA if key != "hidden_size"} | {"n_embd": "64"})
    assert caught.value.message == "config.json: n_embd is '64'"
