"""What this machine must give before Ray is started: said at once, in one line, with status 3."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from cluster.bridge import limits
from cluster.bridge.limits import FEWEST_OPEN_FILES, allow_open_files, check_room
from cluster.errors import SystemFailed

DEPLOY = "deploy --simulate 1x2xL4 --model llama-3.1-8b --tp 2 --pp 1 --dp 1 --yes"


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLUSTERVIEW_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.mark.parametrize(
    ("limit", "words"),
    [("ulimit -n 64", "allows 64 open files and Ray needs at least 128"), ("ulimit -f 0", "File too large")],
)
def test_a_deployment_that_the_machine_refuses_fails_at_once(own_state: Path, limit: str, words: str) -> None:
    command = f"{limit}; exec '{sys.executable}' -m tui {DEPLOY}"
    # Long before the minutes that Ray itself would wait.
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3, done.stderr
    # Lines before it are progress, which a busy machine has time to show.
    *progress, line = done.stderr.splitlines()
    assert all(before.startswith("clusterview: ") for before in progress) and len(progress) < 3
    assert line.startswith("clusterview: ") and words in line
    assert not own_state.exists() or not list(own_state.iterdir())


def test_a_soft_limit_is_raised_as_far_as_the_hard_one(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = {"soft": 64, "hard": 4096}
    monkeypatch.setattr(resource, "getrlimit", lambda which: (allowed["soft"], allowed["hard"]))
    monkeypatch.setattr(resource, "setrlimit", lambda which, pair: allowed.update(soft=pair[0]))
    allow_open_files()
    assert allowed == {"soft": 4096, "hard": 4096}
    allowed.update(soft=64, hard=FEWEST_OPEN_FILES - 1)
    with pytest.raises(SystemFailed, match=f"allows {FEWEST_OPEN_FILES - 1} open files"):
        allow_open_files()


def statvfs(free_bytes: int, free_files: int = 10, **_: int) -> SimpleNamespace:
    return SimpleNamespace(f_bavail=free_bytes, f_frsize=1, f_blocks=2**40, f_files=20, f_favail=free_files)


def test_room_is_asked_for_before_ray_is_started(own_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, free = os.statvfs, {own_state: statvfs(1000), Path("/tmp"): statvfs(2**40)}

    def look(path: Path) -> object:
        return free.get(path) or real(path)

    own_state.mkdir()
    monkeypatch.setattr(os, "statvfs", look)
    with pytest.raises(SystemFailed, match=r"no space left in .*state.*: 1000 B free, 1.0 MiB needed"):
        check_room()
    free[own_state] = statvfs(2**40, free_files=0)
    with pytest.raises(SystemFailed, match="inodes"):
        check_room()
    free[own_state], free[Path("/tmp")] = statvfs(2**40), statvfs(2**20)
    with pytest.raises(SystemFailed, match=r"no space left in /tmp: 1.0 MiB free, 64.0 MiB needed"):
        check_room()
    free[Path("/tmp")] = statvfs(2**40)
    check_room()
    (own_state / "shm").mkdir()
    monkeypatch.setattr(limits, "_SHARED_MEMORY", own_state / "shm")
    monkeypatch.setattr(os, "access", lambda path, mode: path.name != "shm")
    with pytest.raises(SystemFailed, match="cannot be written, and Ray keeps its objects there"):
        check_room()
