"""Parameter counts, one by one equal to those of transformers' own model classes."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from cluster.catalog.hf_config import model_from_config
from tests.cluster.catalog.configs import EVERY, sized

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


def build(config: dict[str, Any]) -> Any:
    """Build transformers' model of a config without memory for its weights."""
    fields = {name: value for name, value in config.items() if name != "model_type"}
    made = transformers.CONFIG_MAPPING[config["model_type"]](**fields)
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")
        model = transformers.AutoModelForCausalLM.from_config(made)
    model.tie_weights()
    return model


@pytest.mark.parametrize("config", EVERY, ids=lambda config: config["model_type"])
def test_parameters_equal_those_of_the_reference(config: dict[str, Any]) -> None:
    if config["model_type"] not in transformers.CONFIG_MAPPING:
        pytest.skip(f"this transformers has no {config['model_type']}")
    reference = sum(parameter.numel() for parameter in build(config).parameters())
    model = model_from_config(config, "small", "test")
    assert model.known_architecture
    assert model.parameters == reference


TOWERS: dict[str, dict[str, Any]] = {
    "gemma3": {
        "model_type": "siglip_vision_model",
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
        "patch_size": 14,
        "image_size": 896,
        "vision_use_head": False,
    },
    "qwen2_5_vl": {"hidden_size": 1280, "out_hidden_size": 256},
    "qwen3_vl": {"out_hidden_size": 256},
    "llava": {
        "model_type": "clip_vision_model",
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "patch_size": 14,
        "image_size": 336,
    },
}
TEXT_OF = {
    "gemma3": "gemma3_text",
    "qwen2_5_vl": "qwen2_5_vl_text",
    "qwen3_vl": "qwen3_vl_text",
    "llava": "llama",
}


@pytest.mark.parametrize("kind", TOWERS)
def test_vision_towers_equal_those_of_the_reference(kind: str) -> None:
    text = sized(TEXT_OF[kind], head_dim=32)
    made = transformers.CONFIG_MAPPING[kind](text_config=dict(text), vision_config=dict(TOWERS[kind]))
    with torch.device("meta"):
        reference = transformers.AutoModelForImageTextToText.from_config(made)
    reference.tie_weights()
    tower = {"model_type": kind, **TOWERS[kind]}
    config = {"model_type": kind, "text_config": text, "vision_config": tower}
    model = model_from_config({**config, "tie_word_embeddings": made.tie_word_embeddings}, "small", "test")
    assert model.vision is not None
    assert model.parameters == sum(parameter.numel() for parameter in reference.parameters())


@pytest.mark.parametrize(
    "kind", ["mellum", "iquestcoder", "zaya", "axk1", "lfm3", "hy_v4", "granite_swa", "youtu"]
)
def test_families_without_a_file_are_planned_from_their_fields(kind: str) -> None:
    """No data file knows these: sizes alone bring the count within a few percent."""
    if kind not in transformers.CONFIG_MAPPING:
        pytest.skip(f"this transformers has no {kind}")
    made = transformers.CONFIG_MAPPING[kind]()
    with torch.device("meta"):
        reference = transformers.AutoModelForCausalLM.from_config(made)
    reference.tie_weights()
    config = {name: value for name, value in made.to_dict().items() if value is not None}
    model = model_from_config(config, "new", "test")
    assert not model.known_architecture and model.notes
    expected = sum(parameter.numel() for parameter in reference.parameters())
    assert model.parameters == pytest.approx(expected, rel=0.03)
