"""Checkpoints smaller than their config describes: every part of a plan uses the size on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.catalog.engine_catalog import load_engine
from cluster.catalog.hf_config.totals import outer_tensors, size_bytes
from cluster.catalog.model_spec import ModelSpec
from cluster.catalog.models import load_model
from cluster.planner.layout import Layout
from cluster.planner.memory import replica_memory
from cluster.planner.replica import RankGpu
from tests.cluster.catalog.configs import sized
from tests.cluster.catalog.test_folder import LLAMA, WHOLE_BYTES, folder, whole, write_header
from tests.cluster.planner.memory.specs import replica_of

# What a description from generic fields says may be off by far: its weights are the checkpoint's.
UNKNOWN = {**LLAMA, "model_type": "brand_new", "architectures": ["BrandNewForCausalLM"]}


def parts(model: ModelSpec) -> tuple[list[int], int]:
    """Return the bytes of each layer's tensors, and of those outside the layers."""
    return [size_bytes(layer.tensors) for layer in model.layers], size_bytes(outer_tensors(model))


def stored(outer: int, *layers: int) -> dict[str, tuple[str, int]]:
    held = {f"model.layers.{i}.mlp.up_proj.weight": ("BF16", size) for i, size in enumerate(layers)}
    return {**held, "model.embed_tokens.weight": ("BF16", outer)}


def test_layers_and_tables_take_the_bytes_of_the_headers(tmp_path: Path) -> None:
    layers = (100_000, 200_000, 300_000, 400_000)
    write_header(folder(tmp_path, UNKNOWN) / "model.safetensors", stored(500_000, *layers))
    model = load_model(str(tmp_path))
    by_layer, outer = parts(model)
    assert by_layer == pytest.approx(layers, abs=50)
    assert outer == pytest.approx(500_000, abs=50)
    assert not model.known_architecture
    assert "planned with the checkpoint's sizes" in model.notes[-1]


def test_a_rank_weighs_its_share_of_the_headers(tmp_path: Path) -> None:
    write_header(folder(tmp_path, UNKNOWN) / "model.safetensors", stored(500_000, *[250_000] * 4))
    model, engine, room = load_model(str(tmp_path)), load_engine("builtin"), 80 * 2**30
    for tp in (1, 2):
        (memory,) = replica_memory(replica_of(model, engine, Layout(tp=tp), RankGpu(room, room))).ranks
        # The vocabulary is padded to 64 rows, and norms are whole on each rank.
        assert 1_500_000 / tp <= memory.weights_bytes - model.buffer_bytes <= 1_500_000 / tp * 1.05


def test_an_index_shrinks_all_alike(tmp_path: Path) -> None:
    whole = load_model(str(folder(tmp_path, UNKNOWN) / "config.json")).weights_bytes
    index = {"weight_map": {"a": "elsewhere.safetensors"}, "metadata": {"total_size": whole // 2}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    model = load_model(str(tmp_path))
    by_layer, outer = parts(model)
    assert sum(by_layer) + outer == pytest.approx(whole // 2, rel=1e-3)
    assert len(set(by_layer)) == 1


def test_a_small_lack_leaves_the_architecture_known(tmp_path: Path) -> None:
    tensors = {**whole(), "model.layers.3.mlp.up_proj.weight": ("BF16", 1_060_000)}
    write_header(folder(tmp_path) / "model.safetensors", tensors)
    model = load_model(str(tmp_path))
    assert model.known_architecture
    assert sum(parts(model)[0]) + parts(model)[1] == pytest.approx(WHOLE_BYTES - 55_136, rel=1e-3)


def test_adapters_are_not_counted(tmp_path: Path) -> None:
    tensors = {**whole(), "model.layers.0.mlp.up_proj.lora_A.vision.weight": ("BF16", 5_000_000)}
    write_header(folder(tmp_path) / "model.safetensors", tensors)
    assert load_model(str(tmp_path)).weights_bytes == WHOLE_BYTES


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        sized("zamba", layers_block_type=["mamba", "hybrid"] * 2, attention_head_dim=64, mamba_dt_rank=16),
        sized("doge", num_key_value_heads=8),
    ],
    ids=lambda config: str(config["model_type"]),
)
def test_checkpoints_of_the_reference_are_explained(config: dict[str, Any], tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    fields = {name: value for name, value in config.items() if name != "model_type"}
    made = transformers.CONFIG_MAPPING[config["model_type"]](**fields)
    reference = transformers.AutoModelForCausalLM.from_config(made).to(torch.bfloat16)
    reference.save_pretrained(tmp_path)
    model = load_model(str(tmp_path))
    assert model.notes == ()
    assert sum(parts(model)[0]) + parts(model)[1] == model.weights_bytes
    assert model.weights_bytes == sum(parameter.numel() * 2 for parameter in reference.parameters())


def test_tensors_that_vanish_leave_nothing_negative(tmp_path: Path) -> None:
    write_header(folder(tmp_path, UNKNOWN) / "model.safetensors", stored(0, 2, 2, 2, 1_500_000))
    by_layer, outer = parts(load_model(str(tmp_path)))
    assert all(size >= 0 for size in (*by_layer, outer))
