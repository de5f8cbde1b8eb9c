"""Checkpoints in the hub's cache: complete ones are found, and for others the missing part is named."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.errors import BadInput
from cluster.runtime.checkpoint_files import checkpoint_problem
from cluster.runtime.hub_cache import find_cached, hub_cache
from cluster.runtime.weight_source import WeightSource, weights_folder

HEADER = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
WHOLE = len(HEADER).to_bytes(8, "little") + HEADER + bytes(8)


def fill(folder: Path, shards: int = 1) -> Path:
    """Write a small checkpoint with `shards` weight files."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    if shards == 1:
        (folder / "model.safetensors").write_bytes(WHOLE)
        return folder
    names = [f"model-{n:05}-of-{shards:05}.safetensors" for n in range(1, shards + 1)]
    for name in names:
        (folder / name).write_bytes(WHOLE)
    index = {"weight_map": {f"w{n}": name for n, name in enumerate(names)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def cached(cache: Path, revision: str, *, is_main: bool = False, shards: int = 1) -> Path:
    """Put a snapshot of org/name into a cache."""
    repository = cache / "models--org--name"
    if is_main:
        (repository / "refs").mkdir(parents=True, exist_ok=True)
        (repository / "refs" / "main").write_text(revision)
    return fill(repository / "snapshots" / revision, shards)


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}, "/a"),
        ({"HF_HOME": "/b", "XDG_CACHE_HOME": "/c"}, "/b/hub"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
        ({}, str(Path("~/.cache/huggingface/hub").expanduser())),
    ],
)
def test_the_cache_is_where_the_environment_says(environment: dict[str, str], folder: str) -> None:
    assert hub_cache(environment) == Path(folder)


def test_it_is_where_the_installed_library_looks() -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    assert str(hub_cache()) == constants.HF_HUB_CACHE


def test_a_complete_snapshot_is_found(tmp_path: Path) -> None:
    cached(tmp_path, "old")
    wanted = cached(tmp_path, "abc", is_main=True, shards=3)
    found = find_cached("org/name", None, tmp_path)
    assert (found.path, found.revision, found.problem) == (str(wanted), "abc", "")
    assert find_cached("org/name", "old", tmp_path).revision == "old"


def test_main_without_weights_does_not_hide_a_complete_snapshot(tmp_path: Path) -> None:
    """Reading a config from the hub downloads only the config, and moves main to that snapshot."""
    cached(tmp_path, "whole")
    (cached(tmp_path, "fresh", is_main=True) / "model.safetensors").unlink()
    assert find_cached("org/name", None, tmp_path).revision == "whole"


def test_the_missing_part_is_named(tmp_path: Path) -> None:
    assert find_cached("org/name", None, tmp_path).problem == f"is not in the hub cache {tmp_path}"
    snapshot = cached(tmp_path, "abc", is_main=True, shards=3)
    # A file that is still downloading is a link to a blob that does not exist yet.
    (snapshot / "model-00002-of-00003.safetensors").unlink()
    (snapshot / "model-00002-of-00003.safetensors").symlink_to("../../blobs/none")
    problem = find_cached("org/name", None, tmp_path).problem
    assert "1 of 3 weight files are missing" in problem and "model-00002-of-00003.safetensors" in problem
    assert "as revision old" in find_cached("org/name", "old", tmp_path).problem


def test_a_router_needs_the_tokenizer_only(tmp_path: Path) -> None:
    snapshot = cached(tmp_path, "abc", is_main=True)
    (snapshot / "model.safetensors").unlink()
    assert find_cached("org/name", None, tmp_path, with_weights=False).path is None
    (snapshot / "tokenizer.json").write_text("{}")
    assert find_cached("org/name", None, tmp_path, with_weights=False).path == str(snapshot)
    assert find_cached("org/name", None, tmp_path).path is None


def _cut(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(WHOLE[:-1])


def _cut_header(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(WHOLE[:12])


def _shard_without_index(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00030.safetensors")


def _no_index(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text("[1]")


def _outside(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"w": "../w.safetensors"}}')


def _no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (_cut, "model.safetensors is truncated"),
        (_cut_header, "model.safetensors is truncated"),
        (_shard_without_index, "has neither model.safetensors nor model.safetensors.index.json"),
        (_no_index, "is not an index"),
        (_outside, "is not an index"),
        (_no_config, "has no config.json"),
    ],
)
def test_a_folder_that_cannot_be_loaded(tmp_path: Path, damage: Callable[[Path], None], problem: str) -> None:
    folder = fill(tmp_path / "model")
    assert checkpoint_problem(folder) == ""
    damage(folder)
    assert problem in checkpoint_problem(folder)


def test_a_missing_folder(tmp_path: Path) -> None:
    assert "does not exist" in checkpoint_problem(tmp_path / "none")
    (tmp_path / "file").write_text("")
    assert "is not a folder" in checkpoint_problem(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    folder = fill(tmp_path / "model")
    (folder / "model.safetensors").chmod(0)
    assert "cannot be read" in checkpoint_problem(folder)


def test_ranks_load_what_the_order_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    wanted = cached(tmp_path, "abc", is_main=True)
    named = {"config": {}, "hub_id": "org/name", "revision": "abc"}
    assert WeightSource.of(named).path == str(wanted)
    assert weights_folder({"config": {}, "path": "/m"}) == "/m"
    assert weights_folder({"config": {}}) is None
    # Missing weights are an error and never replaced by dummy weights.
    with pytest.raises(BadInput, match=r"org/name is not in the hub cache .* as revision gone"):
        WeightSource.of({**named, "revision": "gone"})
