"""The directory that a driver hands to Ray's workers as a place for modules."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from cluster.bridge.driver.worker_path import in_empty_directory


def test_inside_it_is_an_empty_directory_and_afterwards_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "token")
    with in_empty_directory():
        inside = Path.cwd()
        assert inside != tmp_path and not list(inside.iterdir())
        assert os.environ["RAY_AUTH_TOKEN_PATH"] == str(tmp_path / "token")
    assert Path.cwd() == tmp_path and not inside.exists()


def test_a_full_disk_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "TemporaryDirectory", full)
    with in_empty_directory():
        assert Path.cwd() == Path("/")
    assert Path.cwd() == tmp_path


def test_the_current_directory_may_have_been_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    with in_empty_directory():
        assert not list(Path.cwd().iterdir())
    assert Path.cwd() == Path("/")
