"""Records of embedded clusters: private, found while their keeper lives, gone with it."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster.bridge.state.folder import check_usable, state_dir, state_path, state_root
from cluster.bridge.state.logs import new_session_log, remove_log, remove_old_session_logs
from cluster.bridge.state.records import (
    LOCAL_KEY,
    ClusterRecord,
    any_ending,
    foreign_files,
    forget_record,
    hold_lock,
    keeper_lives,
    read_record,
    read_records,
    record_path,
    retire_record,
    write_record,
)
from cluster.bridge.state.temp_dir import new_temp_dir, remove_temp_dir
from cluster.cli.unknown_files import describe_foreign
from cluster.errors import BadInput, SystemFailed
from cluster.process_table import descendants, end_processes, processes_with

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
    own = record_path(KEY).parent
    assert own.parent == folder and stat.S_IMODE(own.stat().st_mode) == 0o700
    assert stat.S_IMODE(record_path(KEY).stat().st_mode) == 0o600
    assert [path.name for path in own.iterdir()] == [record_path(KEY).name]


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
def test_what_a_dead_keeper_left_is_swept_up(folder: Path, ending: bool) -> None:
    """Its record, its folder, and processes that were started in that folder's name; nobody else's."""
    temp_dir = Path(new_temp_dir())
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
    # A cluster that was not being ended was lost, which is noted for `status`.
    kept = [path.name for path in folder.rglob("*") if path.is_file()]
    assert kept == ([] if ending else [record_path(KEY).with_suffix(".lost").name])
    assert foreign_files() == []


SOMEBODY_S = {
    "config.json": b"{}",
    "tokenizer.json": b'{"kind": "simulated"}',
    "local.lock": b"",
    "bridge-1-x.log": b"words",
    "x.ending": b"",
    "cluster-local.json": b"",
}


def content_of(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Return what a folder holds, with modes and times of change."""
    return {
        path.name: (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns)
        for path in folder.iterdir()
        if path.is_file()
    }


@pytest.mark.parametrize("mode", [0o1777, 0o755, 0o700])
def test_a_folder_that_is_somebody_s_keeps_its_files_and_its_mode(folder: Path, mode: int) -> None:
    folder.mkdir()
    for name, content in SOMEBODY_S.items():
        (folder / name).write_bytes(content)
    folder.chmod(mode)
    before = content_of(folder)
    assert read_records() == [] and read_record(LOCAL_KEY) is None and not any_ending()
    assert not keeper_lives(LOCAL_KEY)
    remove_old_session_logs()
    assert content_of(folder) == before and len(list(folder.iterdir())) == len(before)
    with hold_lock(KEY):
        write_record(record())
        handle, log = new_session_log()
        os.close(handle)
        retire_record(KEY)
        forget_record(KEY)
        remove_log(log)
    assert content_of(folder) == before and stat.S_IMODE(folder.stat().st_mode) == mode
    assert len(list(folder.iterdir())) == len(before)


UNMARKED = record().model_copy(update={"mark": ""}).model_dump_json().encode()
NOT_OURS = {
    record_path(KEY).name: [b"", b"{", b"[]", b'{"kind": "simulated"}', b"\xff\xfe", UNMARKED],
    "cluster-another.json": [record().model_dump_json().encode()],
    "cluster-local.ending": [b"", b"text"],
    "cluster-local.lock": [b"text"],
    "bridge-4194305-0badcafe.log": [b"", b"text"],
    "record-4194305-0badcafe.draft": [b"text"],
    "notes.txt": [b"text"],
}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param(name, content, id=f"{name}-{number}")
        for name, contents in NOT_OURS.items()
        for number, content in enumerate(contents)
    ],
)
def test_in_our_own_folder_what_has_no_mark_is_left_alone_and_named(name: str, content: bytes) -> None:
    own = state_dir()
    (own / name).write_bytes(content)
    before = content_of(own)
    assert read_record(KEY) is None and read_records() == [] and not any_ending()
    remove_old_session_logs()
    retire_record(KEY)
    forget_record(KEY)
    assert content_of(own) == before and foreign_files() == [own / name]
    assert name in describe_foreign()


def test_a_file_in_the_way_is_never_overwritten() -> None:
    record_path(KEY).parent.mkdir(parents=True, mode=0o700)
    record_path(KEY).write_text("mine")
    with pytest.raises(SystemFailed, match="not written by clusterview"):
        write_record(record())
    assert record_path(KEY).read_text() == "mine"
    lock = record_path(KEY).with_suffix(".lock")
    lock.write_text("mine too")
    with pytest.raises(SystemFailed, match="not written by clusterview"), hold_lock(KEY):
        pass
    assert lock.read_text() == "mine too"


def test_links_and_pipes_in_the_folder_are_not_followed(tmp_path: Path) -> None:
    own, target = state_dir(), tmp_path / "target.json"
    target.write_text(record().model_dump_json())
    record_path(KEY).symlink_to(target)
    os.mkfifo(own / "cluster-local.json")
    (own / "cluster-local.lock").symlink_to(tmp_path / "absent")
    assert read_records() == []
    with pytest.raises(SystemFailed), hold_lock(LOCAL_KEY):
        pass
    assert target.exists() and not (tmp_path / "absent").exists()
    assert len(foreign_files()) == 3


def test_a_dead_keeper_s_record_does_not_reach_folders_of_others(tmp_path: Path) -> None:
    """A record that names a folder without our mark: the folder and its processes stay."""
    temp_dir = tmp_path / "cv-mine"
    temp_dir.mkdir()
    (temp_dir / "thesis.txt").write_text("text")
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    process = subprocess.Popen(sleep, env={**os.environ, "RAY_TMPDIR": str(temp_dir)})
    try:
        write_record(record(str(temp_dir)))
        assert read_records() == []
        assert (temp_dir / "thesis.txt").exists() and process.poll() is None
    finally:
        end_processes([process.pid])


def test_only_a_marked_temporary_folder_is_removed(tmp_path: Path) -> None:
    made = Path(new_temp_dir())
    (made / "session" / "logs").mkdir(parents=True)
    link = tmp_path / "cv-link"
    link.symlink_to(made)
    remove_temp_dir(link)
    assert made.is_dir() and link.is_symlink()
    remove_temp_dir(made)
    assert not made.exists()


def test_looking_makes_nothing(folder: Path) -> None:
    assert read_records() == [] and read_record(KEY) is None and foreign_files() == []
    check_usable()
    assert not folder.exists()


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o710])
def test_a_folder_that_others_can_enter_is_refused_not_closed(mode: int) -> None:
    own = state_path()
    own.mkdir(parents=True)
    own.chmod(mode)
    for look in (state_dir, read_records):
        with pytest.raises(SystemFailed, match="open to other users"):
            look()
    assert stat.S_IMODE(own.stat().st_mode) == mode


def test_a_folder_that_is_a_link_or_somebody_else_s_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = state_path()
    own.parent.mkdir()
    (tmp_path / "elsewhere").mkdir()
    own.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match="not a folder"):
        state_dir()
    own.unlink()
    state_dir()
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    (tmp_path / "state" / own.name).rename(state_path())
    with pytest.raises(SystemFailed, match="belongs to another user"):
        state_dir()


def test_the_umask_takes_nothing_from_the_owner() -> None:
    old = os.umask(0o777)
    try:
        assert stat.S_IMODE(state_dir().stat().st_mode) == 0o700
    finally:
        os.umask(old)


def test_a_relative_place_is_relative_to_where_the_user_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLUSTERVIEW_STATE_DIR", "./my-model")
    assert state_root() == tmp_path / "my-model"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLUSTERVIEW_STATE_DIR", "~/x")
    assert state_root() == tmp_path / "x"


def test_a_place_that_cannot_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CLUSTERVIEW_STATE_DIR", str(tmp_path / "file" / "state"))
    for look in (state_dir, read_records, check_usable):
        with pytest.raises(BadInput, match="Not a directory") as told:
            look()
        assert "CLUSTERVIEW_STATE_DIR" in told.value.hint


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, SystemFailed), (errno.EROFS, SystemFailed)])
def test_what_the_disk_refuses_is_told_and_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", refuse)
    handle, log = new_session_log()
    os.close(handle)
    assert log == Path() and not list(folder.iterdir())
    with pytest.raises(kind, match=os.strerror(number)):
        write_record(record())
    assert list(state_dir().iterdir()) == []
