"""Folders in Hugging Face format: exact weights from headers or the index; broken files are refused."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from cluster.catalog.models import load_config, load_model
from cluster.errors import BadInput
from tests.cluster.catalog.configs import sized

LLAMA = {**sized("llama"), "torch_dtype": "bfloat16", "tie_word_embeddings": False}


WIDTHS = {"BF16": 2, "F16": 2, "F32": 4, "F8_E4M3": 1}
Tensors = dict[str, tuple[str, int]]


def header_of(tensors: Tensors) -> dict[str, Any]:
    """Return a safetensors header: name -> (dtype, bytes). Embeddings are tables of the model's width."""
    header: dict[str, Any] = {}
    end = 0
    for name, (dtype, size) in tensors.items():
        elements = size // WIDTHS[dtype]
        shape = [elements // 256, 256] if "embed_tokens" in name and elements % 256 == 0 else [elements]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    return header


def write_file(path: Path, header: dict[str, Any], data_bytes: int) -> None:
    """Write a safetensors file of zeros, whatever its header says."""
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(data_bytes))


def write_header(path: Path, tensors: Tensors, missing_bytes: int = 0) -> None:
    """Write a safetensors file of zeros: name -> (dtype, bytes)."""
    write_file(path, header_of(tensors), sum(size for _, size in tensors.values()) - missing_bytes)


def whole(dtype: str = "BF16", num_layers: int = 4, tied: bool = False) -> Tensors:
    """Return all tensors of the LLAMA config, those of a layer as one."""
    width = WIDTHS[dtype]
    held = {f"model.layers.{i}.mlp.up_proj.weight": (dtype, 557_568 * width) for i in range(num_layers)}
    head = {} if tied else {"lm_head.weight": (dtype, 256_000 * width)}
    return {
        "model.embed_tokens.weight": (dtype, 256_000 * width),
        **held,
        "model.norm.weight": (dtype, 256 * width),
        **head,
    }


WHOLE_BYTES = 4 * 1_115_136 + 2 * 512_000 + 512


def folder(tmp_path: Path, config: dict[str, Any] = LLAMA) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


@pytest.mark.slow
def test_a_checkpoint_of_the_reference_weighs_what_the_config_says(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    config = transformers.LlamaConfig(**{k: v for k, v in sized("llama").items() if k != "model_type"})
    model = transformers.LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(tmp_path, max_shard_size="2MB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    planned = load_model(str(tmp_path))
    assert planned.weights_source == "safetensors headers"
    assert planned.weights_bytes == sum(p.numel() * 2 for p in model.parameters())
    assert planned.parameters == sum(p.numel() for p in model.parameters())
    assert planned.notes == ()


def test_float32_counts_in_the_dtype_it_is_loaded_in(tmp_path: Path) -> None:
    write_header(folder(tmp_path) / "model.safetensors", whole("F32"))
    assert load_model(str(tmp_path)).weights_bytes == WHOLE_BYTES
    assert load_model(str(tmp_path), dtype="float32").weights_bytes == 2 * WHOLE_BYTES


def test_draft_layers_and_tied_copies_are_left_out(tmp_path: Path) -> None:
    tensors = {
        **whole(),
        "model.layers.4.mlp.up_proj.weight": ("BF16", 1_000_000),
        "mtp.layers.0.up_proj.weight": ("BF16", 1_000_000),
        "model.layers.0.self_attn.rotary_emb.inv_freq": ("F32", 1_000_000),
        "model.layers.0.attn.masked_bias": ("F32", 1_000_000),
        "vision_tower.encoder.layers.9.mlp.weight": ("BF16", 10),
    }
    tied = {**LLAMA, "tie_word_embeddings": True}
    write_header(folder(tmp_path, tied) / "model.safetensors", tensors)
    assert load_model(str(tmp_path)).weights_bytes == WHOLE_BYTES - 512_000 + 10


def test_what_the_architecture_does_not_explain_is_counted(tmp_path: Path) -> None:
    base = load_model(str(folder(tmp_path)))
    extra = base.weights_bytes // 3 & ~1
    write_header(tmp_path / "model.safetensors", {**whole(), "talker.weight": ("BF16", extra)})
    model = load_model(str(tmp_path))
    assert model.weights_bytes == base.weights_bytes + extra
    in_layers = sum(tensor.size_bytes for layer in model.layers for tensor in layer.tensors)
    before = sum(tensor.size_bytes for layer in base.layers for tensor in layer.tensors)
    assert in_layers - before == pytest.approx(extra, abs=8)
    assert "its architecture accounts for" in model.notes[-1]


def write_index(tmp_path: Path, total_size: Any, *names: str) -> None:
    shards = names or ("model-00001-of-00001.safetensors",)
    index = {"metadata": {"total_size": total_size}, "weight_map": {f"{n}.weight": n for n in shards}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("total_size", [5_600_000, 5_600_000.0])
def test_the_index_is_used_where_shards_are_missing(tmp_path: Path, total_size: float) -> None:
    write_index(folder(tmp_path), total_size)
    model = load_model(str(tmp_path / "config.json"))
    assert (model.weights_bytes, model.weights_source) == (5_600_000, "index")
    assert any(note.startswith("1 of 1 shard missing from the folder:") for note in model.notes)


@pytest.mark.parametrize("missing", [1, 500])
def test_a_truncated_shard_is_refused_with_the_missing_bytes(tmp_path: Path, missing: int) -> None:
    write_header(folder(tmp_path) / "model.safetensors", whole(), missing_bytes=missing)
    with pytest.raises(BadInput, match=f"truncated: {missing} bytes"):
        load_model(str(tmp_path))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\x00",
        b"\xff" * 8,
        struct.pack("<Q", 50) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"{x",
        struct.pack("<Q", 14) + b'{"a": "tensor"}',
        struct.pack("<Q", 40) + b'{"a": {"data_offsets": [10, 2]}}        ',
    ],
)
def test_a_file_that_is_not_safetensors_is_refused(tmp_path: Path, content: bytes) -> None:
    (folder(tmp_path) / "model.safetensors").write_bytes(content)
    with pytest.raises(BadInput, match=r"model\.safetensors"):
        load_model(str(tmp_path))


@pytest.mark.parametrize(
    "index",
    [
        "",
        "[]",
        "{}",
        '{"weight_map": 3}',
        '{"weight_map": {"a": "../../etc/passwd"}}',
        '{"weight_map": {"a": "/x"}}',
    ],
)
def test_a_broken_index_is_refused(tmp_path: Path, index: str) -> None:
    (folder(tmp_path) / "model.safetensors.index.json").write_text(index)
    with pytest.raises(BadInput, match=r"index"):
        load_model(str(tmp_path))


def test_an_exported_quantization_file_is_read(tmp_path: Path) -> None:
    exported = {"quantization": {"quant_algo": "NVFP4", "group_size": 16, "exclude_modules": ["lm_head"]}}
    (folder(tmp_path) / "hf_quant_config.json").write_text(json.dumps(exported))
    quantization = load_model(str(tmp_path)).quantization
    assert quantization is not None and quantization.method == "nvfp4"


def test_a_variant_on_paper_does_not_weigh_the_disk(tmp_path: Path) -> None:
    write_header(folder(tmp_path) / "model.safetensors", {"a.weight": ("BF16", 1000)})
    model = load_model(str(tmp_path), quantization="fp8")
    assert model.weights_source == "architecture"


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"has no config\.json"):
        load_model(str(tmp_path))


def test_the_config_of_a_folder_is_raw(tmp_path: Path) -> None:
    assert load_config(str(folder(tmp_path)))["hidden_size"] == 256
