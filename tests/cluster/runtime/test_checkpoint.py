"""Only the needed slices are read, and a damaged folder gives one line of bad input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from cluster.errors import BadInput
from cluster.runtime.checkpoint_reader import CheckpointReader
from cluster.runtime.config import read_model_config
from cluster.runtime.partition import rank_part
from cluster.runtime.rank_weights import WeightPlan
from tests.cluster.runtime.checkpoints import read_config
from tests.cluster.runtime.conftest import CheckpointShelf


def load(folder: Path, tp: int = 1, tp_rank: int = 0, **changes: Any) -> tuple[WeightPlan, int]:
    config = read_model_config(read_config(folder) | changes)
    part = rank_part(config, tp=tp, pp=1, tp_rank=tp_rank, stage=0)
    plan = WeightPlan(config, part, torch.device("cpu"), torch.float32)
    with CheckpointReader(str(folder)) as checkpoint:
        checkpoint.fill(plan.slices, lambda fraction: None)
        return plan, checkpoint.bytes_read


@pytest.fixture
def folder(shelf: CheckpointShelf, tmp_path: Path) -> Path:
    """A copy of the checkpoint that the test may damage."""
    return Path(shutil.copytree(shelf.get("llama").folder, tmp_path / "copy"))


@pytest.fixture
def sharded(shelf: CheckpointShelf, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shelf.get("llama, sharded").folder, tmp_path / "copy"))


def test_a_rank_never_opens_a_whole_split_tensor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts the bytes that safetensors returns per tensor."""
    import cluster.runtime.checkpoint_reader as module

    handed_out: dict[str, int] = {}
    opened = module.open_safetensors

    class CountingSlice:
        def __init__(self, name: str, inner: Any) -> None:
            self.name, self.inner = name, inner

        def get_dtype(self) -> str:
            return str(self.inner.get_dtype())

        def get_shape(self) -> list[int]:
            return list(self.inner.get_shape())

        def __getitem__(self, key: Any) -> Any:
            values = self.inner[key]
            handed_out[self.name] = values.numel()
            return values

    class CountingFile:
        """Has no get_tensor, so that reading a whole tensor would fail."""

        def __init__(self, path: Path) -> None:
            self.inner = opened(path)

        def keys(self) -> list[str]:
            return list(self.inner.keys())

        def get_slice(self, name: str) -> CountingSlice:
            return CountingSlice(name, self.inner.get_slice(name))

    monkeypatch.setattr(module, "open_safetensors", CountingFile)
    load(folder, tp=4, tp_rank=1)
    config = read_config(folder)
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    split = {name: count for name, count in handed_out.items() if "norm" not in name}
    assert len(split) == 7 * layers + 2
    whole_projection = hidden * config["intermediate_size"]
    assert all(
        split[f"model.layers.{i}.mlp.down_proj.weight"] == whole_projection // 4 for i in range(layers)
    )
    assert all(count <= whole_projection // 2 for count in split.values())


def test_slices_of_all_ranks_make_the_whole(folder: Path) -> None:
    whole, _ = load(folder)
    ranks = [load(folder, tp=3, tp_rank=rank)[0] for rank in range(3)]
    for layer, full in enumerate(whole.weights.layers):
        downs = [rank.weights.layers[layer].down for rank in ranks]
        assert torch.equal(torch.cat(downs, dim=1), full.down)
        gates = [rank.weights.layers[layer].gate_up.chunk(2)[0] for rank in ranks]
        assert torch.equal(torch.cat(gates), full.gate_up.chunk(2)[0])


def assert_refused(folder: Path, *words: str, **changes: Any) -> None:
    with pytest.raises(BadInput) as caught:
        load(folder, **changes)
    line = caught.value.one_line()
    assert "\n" not in line
    assert all(word in line for word in words), line


@pytest.mark.parametrize("keep", [0, 4, 100, 5000, -1])
def test_a_truncated_file(folder: Path, keep: int) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    assert_refused(folder, "model.safetensors", "truncated")


def test_a_file_of_garbage(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\xff" * 4096)
    assert_refused(folder, "model.safetensors")


def test_no_weights_at_all(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert_refused(folder, "neither model.safetensors nor")


def test_a_missing_tensor(folder: Path) -> None:
    assert_refused(folder, "has no tensor model.layers.3.", num_hidden_layers=4)


def test_a_shape_that_does_not_match_the_config(folder: Path) -> None:
    assert_refused(folder, "gate_proj", "[80, 48]", "[96, 48]", intermediate_size=96)


def test_weights_stored_in_integers(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    save_file({name: tensor.to(torch.int8) for name, tensor in tensors.items()}, folder / "model.safetensors")
    assert_refused(folder, "is stored as I8", "F32, F16, BF16")


def test_a_missing_shard(sharded: Path) -> None:
    sorted(sharded.glob("*.safetensors"))[1].unlink()
    assert_refused(sharded, "is missing")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"weight_map": 3}', "[" * 100_000])
def test_an_invalid_index(sharded: Path, text: str) -> None:
    (sharded / "model.safetensors.index.json").write_text(text)
    assert_refused(sharded, "index")


def test_an_index_that_points_elsewhere(sharded: Path) -> None:
    index = sharded / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"model.norm.weight": "../other/model.safetensors"}}))
    assert_refused(sharded, "outside its folder")


def test_a_tensor_in_the_index_that_the_shard_lacks(sharded: Path) -> None:
    index = sharded / "model.safetensors.index.json"
    entries = json.loads(index.read_text())
    files = sorted({*entries["weight_map"].values()})
    entries["weight_map"]["model.norm.weight"] = files[0]
    index.write_text(json.dumps(entries))
    assert_refused(sharded, "has no tensor model.norm.weight")
