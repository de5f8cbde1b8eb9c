"""Measurements outlive clusters: kept one per name, read back whole, and only ours are replaced."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from cluster.bridge.state.folder import lasting_path, state_path
from cluster.bridge.state.measurements import keep_load, last_load
from cluster.bridge.state.records import foreign_files
from cluster.errors import SystemFailed
from cluster.load.mix import LoadMix
from cluster.load.result import LoadResult


def result(name: str = "chat", cluster: str = "ray a:1", **fields: object) -> LoadResult:
    whole = LoadResult(
        name=name,
        cluster=cluster,
        model="m",
        endpoint="http://127.0.0.1:1",
        began_at_s=1.0,
        duration_s=2.0,
        mix=LoadMix(),
        requests_done=3,
    )
    return whole.model_copy(update=fields)


@pytest.fixture(autouse=True)
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLUSTERVIEW_STATE_DIR", str(tmp_path))
    return tmp_path


def test_the_last_result_of_each_deployment_is_kept() -> None:
    assert last_load("ray a:1", "chat") is None
    keep_load(result(duration_s=1.0))
    keep_load(result(duration_s=5.0))
    keep_load(result(cluster="ray b:1", duration_s=7.0))
    assert [last_load(where, "chat").duration_s for where in ("ray a:1", "ray b:1")] == [5.0, 7.0]  # type: ignore[union-attr]
    assert last_load("ray a:1", "other") is None
    assert foreign_files() == [], "they are ours, not reported as somebody else's"
    assert not [path for path in state_path().iterdir() if path.suffix != ".measured"]
    assert (state_path().stat().st_mode & 0o777) == 0o700


def test_names_that_a_file_name_cannot_tell_apart_are() -> None:
    keep_load(result(cluster="ray a:1"))
    assert last_load("ray a_1", "chat") is None


def test_a_foreign_file_is_left_alone() -> None:
    path = keep_load(result())
    path.write_text("mine")
    with pytest.raises(SystemFailed, match="was not written by clusterview"):
        keep_load(result())
    assert path.read_text() == "mine" and last_load("ray a:1", "chat") is None


def test_results_of_long_ago_are_removed() -> None:
    old = keep_load(result(name="old"))
    long_ago_s = time.time() - 91 * 24 * 3600
    os.utime(old, (long_ago_s, long_ago_s))
    keep_load(result(name="new"))
    assert not old.exists() and last_load("ray a:1", "new") is not None


def test_without_a_chosen_folder_they_outlive_a_reboot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLUSTERVIEW_STATE_DIR")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert lasting_path().parent == tmp_path / "home" / ".local" / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "lasting"))
    path = keep_load(result())
    assert path.parent.parent == tmp_path / "lasting" and path.parent.name == state_path().name
    assert last_load("ray a:1", "chat") is not None and not state_path().exists()
