"""Weights that are incomplete, damaged, or not of the model in config.json are refused with the reason."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from cluster.catalog.models import load_model
from cluster.errors import BadInput
from tests.cluster.catalog.test_folder import (
    LLAMA,
    WHOLE_BYTES,
    Tensors,
    folder,
    header_of,
    whole,
    write_file,
    write_header,
    write_index,
)


def refusal(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        load_model(str(path))
    return caught.value.one_line()


@pytest.mark.parametrize(
    ("present", "count", "absent", "named"),
    [
        ([1], 30, "29 shards of 30 are missing", "model-00002-of-00030"),
        ([1, 2, 3, 5], 5, "1 shard of 5 is missing", "model-00004-of-00005"),
        ([0, 2], 3, "1 shard of 3 is missing", "model-00001-of-00003"),
    ],
)
def test_a_partial_download_names_what_is_missing(
    tmp_path: Path, present: list[int], count: int, absent: str, named: str
) -> None:
    for number in present:
        write_header(folder(tmp_path) / f"model-{number:05}-of-{count:05}.safetensors", whole())
    line = refusal(tmp_path)
    assert "partial download" in line and absent in line and named in line and "Finish it" in line


def test_all_shards_without_an_index_are_read(tmp_path: Path) -> None:
    names = list(whole())
    for number, part in enumerate((names[:3], names[3:]), start=1):
        tensors = {name: whole()[name] for name in part}
        write_header(folder(tmp_path) / f"model-{number:05}-of-00002.safetensors", tensors)
    assert load_model(str(tmp_path)).weights_bytes == WHOLE_BYTES


def test_a_second_copy_under_other_names_is_not_counted(tmp_path: Path) -> None:
    write_header(folder(tmp_path) / "model.safetensors", whole())
    write_header(tmp_path / "consolidated.safetensors", {"layers.0.wq.weight": ("BF16", WHOLE_BYTES)})
    assert load_model(str(tmp_path)).weights_bytes == WHOLE_BYTES


def test_missing_shards_of_an_index_are_noted(tmp_path: Path) -> None:
    names = [f"model-{number:05}-of-00003.safetensors" for number in (1, 2, 3)]
    write_index(folder(tmp_path), WHOLE_BYTES, *names)
    write_header(tmp_path / names[0], {"a": ("BF16", 2)})
    model = load_model(str(tmp_path))
    assert (model.weights_bytes, model.weights_source) == (WHOLE_BYTES, "index")
    assert any(note.startswith("2 of 3 shards missing from the folder:") for note in model.notes)


@pytest.mark.parametrize(
    "total",
    [5, 123_456, 20_000_000, 0, -1, True, "big", [WHOLE_BYTES], 10**400, 1e300, float("nan")],
    ids=repr,
)
def test_an_impossible_total_size_is_refused(tmp_path: Path, total: Any) -> None:
    write_index(folder(tmp_path), total)
    assert "total_size" in refusal(tmp_path)


def moved(**offsets: tuple[int, int]) -> dict[str, Any]:
    header = header_of(dict.fromkeys("abc", ("BF16", 1000)))
    for name, span in offsets.items():
        header[name]["data_offsets"] = list(span)
        header[name]["shape"] = [(span[1] - span[0]) // 2]
    return header


@pytest.mark.parametrize(
    ("header", "data_bytes", "reason"),
    [
        (moved(b=(0, 1000)), 3000, "overlaps"),
        (moved(b=(500, 2000)), 3000, "tensor b overlaps a"),
        (moved(a=(0, 800)), 3000, "tensor b leaves a gap of 200 bytes after a"),
        (moved(a=(8, 1000)), 3000, "tensor a leaves a gap of 8 bytes after the header"),
        (moved(), 3001, "1 bytes after its last tensor belong to no tensor"),
        (moved(), 2999, "truncated: 1 bytes"),
        (
            {**moved(), "c": {"dtype": "BF16", "shape": [3], "data_offsets": [2000, 3000]}},
            3000,
            "needs 6 bytes",
        ),
        ({**moved(), "c": {"dtype": "F4", "shape": [2000], "data_offsets": [2000, 3000]}}, 3000, ""),
        (
            {**moved(), "c": {"dtype": "BF16", "shape": [-500], "data_offsets": [2000, 3000]}},
            3000,
            "no valid dtype or shape",
        ),
        (
            {**moved(), "c": {"dtype": 7, "shape": [500], "data_offsets": [2000, 3000]}},
            3000,
            "no valid dtype or shape",
        ),
        (
            {**moved(), "c": {"dtype": "BF16", "shape": [500], "data_offsets": [True, 3000]}},
            3000,
            "data_offsets",
        ),
        ({**moved(), "c": {"dtype": "BF16", "shape": [500]}}, 3000, "data_offsets"),
        (
            {**moved(), "c": {"dtype": "BF16", "shape": [500], "data_offsets": [2000, 10**40]}},
            3000,
            "data_offsets",
        ),
        ({**moved(), "c": [1]}, 3000, "data_offsets"),
    ],
)
def test_headers_are_checked_against_their_file(
    tmp_path: Path, header: dict[str, Any], data_bytes: int, reason: str
) -> None:
    write_file(folder(tmp_path) / "model.safetensors", header, data_bytes)
    line = refusal(tmp_path)
    assert "model.safetensors" in line if reason else " of the 5.23 MiB" in line
    assert reason in line


def without(name: str) -> Tensors:
    return {other: size for other, size in whole().items() if other != name}


@pytest.mark.parametrize(
    ("config", "tensors", "reason"),
    [
        ({"num_hidden_layers": 30}, whole(), "num_hidden_layers is 30 in config.json"),
        ({}, without("model.layers.2.mlp.up_proj.weight"), "the weights lack 1 layer (the first is layer 2)"),
        ({"hidden_size": 512}, whole(), "hidden_size is 512 in config.json"),
        ({"vocab_size": 32_000}, whole(), "vocab_size is 32,000"),
        ({"intermediate_size": 4096}, whole(), "of the"),
        ({"intermediate_size": 128}, whole(), "more than config.json describes"),
        ({"num_hidden_layers": 2}, {**whole(), "talker.weight": ("BF16", 5_000_000)}, "times the"),
        ({"head_dim": 64}, without("lm_head.weight"), "73.2% of the 6.48 MiB that config.json describes"),
        ({"num_hidden_layers": 1, "model_type": "brand_new"}, {"w": ("BF16", 40_000_000)}, "times the"),
    ],
)
def test_weights_of_another_model_are_refused(
    tmp_path: Path, config: dict[str, Any], tensors: Tensors, reason: str
) -> None:
    write_header(folder(tmp_path, {**LLAMA, **config}) / "model.safetensors", tensors)
    line = refusal(tmp_path)
    assert reason in line
    assert "belong together" in line


def test_a_model_may_come_without_its_head(tmp_path: Path) -> None:
    """Embedding and reranking models do."""
    write_header(folder(tmp_path) / "model.safetensors", without("lm_head.weight"))
    model = load_model(str(tmp_path))
    assert model.weights_bytes == WHOLE_BYTES - 512_000
    assert "planned with the checkpoint's sizes" in model.notes[-1]


def test_a_config_under_another_name_is_not_compared_with_weights_next_to_it(tmp_path: Path) -> None:
    (tmp_path / "lone.json").write_text(json.dumps(LLAMA))
    write_header(tmp_path / "model.safetensors", {"of.another.model": ("BF16", 1000)})
    assert load_model(str(tmp_path / "lone.json")).weights_source == "architecture"


def sparse(path: Path, start: bytes, size_bytes: int) -> None:
    with path.open("wb") as file:
        file.write(start)
        file.truncate(size_bytes)


@pytest.mark.parametrize(
    ("name", "start", "size_bytes", "limit"),
    [
        ("config.json", b"{", 2 * 2**30, "limit for a config.json is 8.0 MiB"),
        ("model.safetensors.index.json", b"{", 2 * 2**30, "limit for an index of shards is 64.0 MiB"),
        (
            "model.safetensors",
            struct.pack("<Q", 78_000_000),
            2 * 2**30,
            "header of 74.4 MiB. The limit is 16.0 MiB",
        ),
        ("hf_quant_config.json", b"{", 2 * 2**30, "limit for a config.json"),
    ],
)
def test_sizes_have_limits_that_are_named(
    tmp_path: Path, name: str, start: bytes, size_bytes: int, limit: str
) -> None:
    sparse(folder(tmp_path) / name, start, size_bytes)
    line = refusal(tmp_path)
    assert name in line and limit in line


def test_a_small_file_of_too_many_values_is_refused(tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / "config.json").write_text('{"a": [' + "[]," * 1_500_000 + "0]}")
    assert "has about 3,000,002 values" in refusal(tmp_path)


def test_a_pointer_of_git_lfs_is_named(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4976698672\n"
    (folder(tmp_path) / "model.safetensors").write_text(pointer)
    assert "git lfs pull" in refusal(tmp_path)
