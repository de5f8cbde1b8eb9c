"""Lost clusters are noted with what ran there, said for a day, and only notes of ours are ever removed."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from cluster.bridge.state.folder import state_dir
from cluster.bridge.state.losses import deployments_on, note_deployments, note_loss, read_losses
from cluster.bridge.state.records import foreign_files
from cluster.cli.troubles import loss_line
from tests.cluster.cli.run_clusterview import run_clusterview

KEY = "2x4xA100-80GB"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLUSTERVIEW_STATE_DIR", str(tmp_path))
    return state_dir()


def test_a_loss_is_read_back_with_what_ran_there(tmp_path: Path) -> None:
    note_deployments(str(tmp_path), ["chat", "code"])
    note_loss(KEY, "its keeper was killed", deployments_on(str(tmp_path)))
    (loss,) = read_losses()
    assert (loss.key, loss.deployments) == (KEY, ("chat", "code"))
    assert "was lost" in loss_line(loss) and "its keeper was killed; lost with it: chat, code" in loss_line(
        loss
    )
    assert foreign_files() == []


def test_the_latest_loss_of_a_cluster_takes_the_place_of_the_one_before() -> None:
    note_loss(KEY, "first", ())
    note_loss(KEY, "second", ())
    assert [loss.reason for loss in read_losses()] == ["second"]


def test_a_loss_is_forgotten_after_a_day(folder: Path) -> None:
    note_loss(KEY, "its keeper was killed", ())
    (path,) = folder.iterdir()
    stale = json.loads(path.read_text()) | {"ended_at_s": time.time() - 25 * 3600}
    path.write_text(json.dumps(stale, separators=(",", ":")))
    assert read_losses() == []
    assert not folder.exists()


def test_a_file_of_another_is_neither_read_nor_replaced(folder: Path) -> None:
    note_loss(KEY, "its keeper was killed", ())
    (path,) = folder.iterdir()
    path.write_text('{"precious": true}')
    assert read_losses() == []
    note_loss(KEY, "again", ())
    assert path.read_text() == '{"precious": true}'


def test_status_says_what_was_lost(tmp_path: Path) -> None:
    note_loss(KEY, "the processes of the cluster's head ended", ("chat",))
    done = run_clusterview("status", CLUSTERVIEW_STATE_DIR=str(tmp_path))
    assert done.returncode == 0
    assert "lost with it: chat" in done.stdout
    done = run_clusterview("status", "--json", CLUSTERVIEW_STATE_DIR=str(tmp_path))
    (row,) = json.loads(done.stdout)["lost"]
    assert (row["key"], row["deployments"]) == (KEY, ["chat"])
    for verb in ("status", "stop"):
        done = run_clusterview(verb, "chat", CLUSTERVIEW_STATE_DIR=str(tmp_path))
        assert done.returncode == 2
        assert "the processes of the cluster's head ended; lost with it: chat" in done.stderr
