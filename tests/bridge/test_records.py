"""Records of embedded clusters: private, found while their keeper lives, gone with it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster.bridge.process_table import descendants, end_processes, processes_with
from cluster.bridge.records import (
    ClusterRecord,
    any_ending,
    hold_lock,
    keeper_lives,
    read_record,
    read_records,
    record_path,
    retire_record,
    state_dir,
    write_record,
)
from cluster.errors import BadInput

KEY = "2x4xA100-80GB,1x8xL4"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLUSTERVIEW_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


def record(temp_dir: str = "/nonexistent/cv-x") -> ClusterRecord:
    return ClusterRecord(
        kind="simulated",
        key=KEY,
        pid=os.getpid(),
        socket_path=f"{temp_dir}/keeper.sock",
        auth_token="secret",
        started_at_s=1.0,
    )


def test_records_and_their_folder_are_the_users_alone(folder: Path) -> None:
    write_record(record())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(record_path(KEY).stat().st_mode) == 0o600
    assert record_path(KEY).parent == folder


def test_a_record_is_found_while_its_keeper_holds_the_lock() -> None:
    with hold_lock(KEY) as lock:
        assert lock is not None
        write_record(record())
        assert keeper_lives(KEY)
        assert read_record(KEY) == record()
        assert read_records() == [record()]
        with hold_lock(KEY) as second:
            assert second is None
    assert not keeper_lives(KEY)


@pytest.mark.parametrize("ending", [False, True])
def test_what_a_dead_keeper_left_is_swept_up(tmp_path: Path, folder: Path, ending: bool) -> None:
    """Its record, its folder, and processes that were started in that folder's name; nobody else's."""
    temp_dir = tmp_path / "cv-dead"
    temp_dir.mkdir()
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    left = subprocess.Popen(sleep, env={**os.environ, "RAY_TMPDIR": str(temp_dir)})
    with (temp_dir / "agent.log").open("w") as log:
        # As Ray's agents look once they wrote their title over their environment.
        titled = subprocess.Popen(["ray::Agent", "60"], executable="/bin/sleep", env={}, stdout=log)
    other = subprocess.Popen(sleep, env={**os.environ, "RAY_TMPDIR": f"{temp_dir}-other"})
    while not (processes_with("RAY_TMPDIR", str(temp_dir)) and other.pid in descendants(os.getpid())):
        time.sleep(0.01)
    write_record(record(str(temp_dir)))
    if ending:
        retire_record(KEY)
        assert any_ending() and not record_path(KEY).exists()
    assert read_record(KEY) is None
    assert not {left.pid, titled.pid} & set(descendants(os.getpid())) and not temp_dir.exists()
    assert other.poll() is None
    end_processes([other.pid])
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"kind": "simulated"}', b"\xff\xfe"])
def test_a_broken_record_is_no_record(content: bytes) -> None:
    record_path(KEY).write_bytes(content)
    assert read_record(KEY) is None
    assert not record_path(KEY).exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CLUSTERVIEW_STATE_DIR", str(tmp_path / "file" / "state"))
    with pytest.raises(BadInput, match=r"CLUSTERVIEW_STATE_DIR|cannot use"):
        state_dir()
