"""A file the user named is written whole, or is as it was."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from cluster.errors import BadInput, SystemFailed
from cluster.whole_file import write_whole


def test_what_was_there_is_replaced_with_its_mode(tmp_path: Path) -> None:
    path, link = tmp_path / "c.json", tmp_path / "link.json"
    write_whole(path, "first")
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~_umask()
    path.chmod(0o640)
    link.symlink_to(path)
    write_whole(link, "second")
    assert path.read_text() == "second" and link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["c.json", "link.json"]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("there", [True, False])
def test_a_full_disk_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    path = tmp_path / "c.json"
    if there:
        path.write_text("old")

    def no_space(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(SystemFailed, match=r"cannot write .*c.json: No space left"):
        write_whole(path, "new")
    assert [entry.read_text() for entry in tmp_path.iterdir()] == (["old"] if there else [])


def test_a_device_and_a_pipe_are_written_to_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(SystemFailed, match="No space left"):
        write_whole(Path("/dev/full"), "x")
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_whole(tmp_path / "pipe", "through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)


@pytest.mark.parametrize("name", ["absent/x.json", "file/x.json", ".", "n" * 300, "nul\0"])
def test_a_name_that_cannot_be_written_is_the_user_s_mistake(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot write"):
        write_whole(tmp_path / name, "x")


def test_a_file_that_may_not_be_written_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.json").write_text("old")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(SystemFailed, match="Permission denied"):
        write_whole(tmp_path / "c.json", "new")
    assert (tmp_path / "c.json").read_text() == "old"


def test_a_new_file_never_replaces_one(tmp_path: Path) -> None:
    path, dangling = tmp_path / "c.json", tmp_path / "link.json"
    write_whole(path, "first", may_replace=False)
    dangling.symlink_to(tmp_path / "nowhere")
    for there in (path, dangling):
        with pytest.raises(BadInput, match="File exists"):
            write_whole(there, "second", may_replace=False)
    assert path.read_text() == "first" and not (tmp_path / "nowhere").exists()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["c.json", "link.json"]


def test_a_file_made_meanwhile_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.json"
    link = Path.hardlink_to

    def late(self: Path, target: Path) -> None:
        self.write_text("theirs")
        link(self, target)

    monkeypatch.setattr(Path, "hardlink_to", late)
    with pytest.raises(BadInput, match="File exists"):
        write_whole(path, "ours", may_replace=False)
    assert path.read_text() == "theirs" and list(tmp_path.iterdir()) == [path]


def test_a_filesystem_without_hard_links_gets_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    path = tmp_path / "c.json"
    write_whole(path, "text", may_replace=False)
    assert path.read_text() == "text" and list(tmp_path.iterdir()) == [path]
