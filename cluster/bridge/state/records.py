"""Records of this user's running embedded clusters: one file each, in a folder only the user can read."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal

from pydantic import ValidationError

from cluster.bridge.state.cleanup import clean_up
from cluster.bridge.state.folder import (
    create_marked,
    existing_state_dir,
    in_state_dir,
    read_marked,
    remove_if_empty,
    slug,
    state_path,
)
from cluster.bridge.state.logs import is_our_log
from cluster.bridge.state.losses import deployments_on, is_our_loss, note_loss
from cluster.bridge.state.measurements import is_our_measurement
from cluster.errors import SystemFailed, system_failed
from cluster.frozen import FrozenModel
from cluster.process_table import process_exists

LOCAL_KEY = "local"
_RECORD, _ENDING, _LOCK, _DRAFT = ".json", ".ending", ".lock", ".draft"
_MARK = b'{"mark":"clusterview record 1"'

EmbeddedKind = Literal["simulated", "local"]


class ClusterRecord(FrozenModel):
    """How to find and enter a running embedded cluster. Holds a secret: written for the user alone."""

    mark: Literal["clusterview record 1"] = "clusterview record 1"
    """First in the file: what does not begin with it was not written here, and is left alone."""
    kind: EmbeddedKind
    key: str
    """The cluster spec in its canonical spelling, or 'local'. One cluster a key."""
    pid: int
    """The keeper that owns the cluster."""
    socket_path: str
    """Unix socket of the keeper: a connection to it keeps the cluster alive."""
    auth_token: str
    started_at_s: float

    @property
    def temp_dir(self) -> str:
        """The folder of the cluster's files; every process of the cluster has it as RAY_TMPDIR."""
        return str(Path(self.socket_path).parent)


def _path(key: str, suffix: str) -> Path:
    return state_path() / f"cluster-{slug(key)}{suffix}"


def record_path(key: str) -> Path:
    """Return the path of the record of `key`, whether or not it exists."""
    return _path(key, _RECORD)


def write_record(record: ClusterRecord) -> None:
    """Write the record so that a reader sees all of it or none, mode 0600; hold the lock of its key.

    Raises SystemFailed where the disk refuses it, or where a file lies there that is not ours.
    """
    path, content = record_path(record.key), record.model_dump_json().encode()
    _refuse_foreign(path)
    draft = path.with_name(f"record-{os.getpid()}-{secrets.token_hex(4)}{_DRAFT}")
    try:
        os.close(in_state_dir(lambda folder: create_marked(folder / draft.name, content)))
        draft.rename(path)
    except OSError as error:
        _remove(draft)
        raise system_failed(f"cannot write {path}", error) from None


def _refuse_foreign(path: Path) -> None:
    if os.path.lexists(path) and not _is_ours(path):
        raise SystemFailed(f"{path} was not written by clusterview", "Move it away")


def retire_record(key: str) -> None:
    """Hide a cluster that is ending from sessions; it can still be cleaned up if its keeper is killed."""
    path = record_path(key)
    if _is_ours(path):
        path.replace(path.with_suffix(_ENDING))


def forget_record(key: str) -> None:
    """Remove the record of a cluster of which nothing is left."""
    _remove(_path(key, _ENDING))


def _remove(path: Path) -> None:
    if _is_ours(path):
        path.unlink(missing_ok=True)


def any_ending() -> bool:
    """True while some cluster is ending, or was ending when its keeper was killed."""
    return any(_is_ours(path) for path in _entries(_ENDING))


def read_record(key: str) -> ClusterRecord | None:
    """Return the record of a keeper that lives; what a dead keeper left is removed."""
    if existing_state_dir() is None:
        return None
    _read_living(_path(key, _ENDING))
    return _read_living(record_path(key))


def read_records() -> list[ClusterRecord]:
    """Return the records of all living keepers of this user, by key; what dead ones left is removed."""
    for path in _entries(_ENDING):
        _read_living(path)
    found = [_read_living(path) for path in _entries(_RECORD)]
    for path in _entries(_DRAFT):
        _remove_abandoned(path)
    return [record for record in found if record is not None]


def foreign_files() -> list[Path]:
    """Return files in our folder that clusterview did not write: they are left alone, and reported."""
    return [path for path in _entries("") if not _is_ours(path)]


def _entries(suffix: str) -> list[Path]:
    folder = existing_state_dir()
    if folder is None:
        return []
    with contextlib.suppress(FileNotFoundError):
        return sorted(path for path in folder.iterdir() if path.name.endswith(suffix))
    return []


def _is_ours(path: Path) -> bool:
    """True for a file whose name and content say that clusterview wrote it, and that may be removed."""
    if path.suffix in (_RECORD, _ENDING):
        return _read(path) is not None
    if path.suffix == _LOCK:
        return path.name.startswith("cluster-") and read_marked(path, b"", 1) == b""
    if path.suffix == _DRAFT:
        content = read_marked(path, b"")
        return (
            _draft_pid(path) is not None and content is not None and _MARK.startswith(content[: len(_MARK)])
        )
    return is_our_log(path) or is_our_loss(path) or is_our_measurement(path)


def _draft_pid(path: Path) -> int | None:
    """Return the process that wrote a draft, by the draft's name."""
    match = re.fullmatch(r"record-([0-9]{1,10})-[0-9a-f]{8}", path.stem)
    return int(match[1]) if match else None


def _remove_abandoned(draft: Path) -> None:
    pid = _draft_pid(draft)
    if pid is not None and not process_exists(pid):
        _remove(draft)


def _read(path: Path) -> ClusterRecord | None:
    """Return the record in a file, if it is ours and at the path where it was written."""
    content = read_marked(path, _MARK)
    if content is None:
        return None
    try:
        record = ClusterRecord.model_validate_json(content)
    except ValidationError:
        return None
    return record if path == _path(record.key, path.suffix) else None


def _read_living(path: Path) -> ClusterRecord | None:
    record = _read(path)
    if record is None or keeper_lives(record.key):
        return record
    # The keeper holds the lock for life, so whoever gets it may clean up after a dead one.
    with contextlib.suppress(OSError), hold_lock(record.key) as lock:
        if lock is not None:
            if path.suffix == _RECORD:
                # Retired records belong to keepers that were already ending.
                note_loss(record.key, "its keeper was killed", deployments_on(record.temp_dir))
            clean_up(record.temp_dir)
            _remove(path)
    return None


def keeper_lives(key: str) -> bool:
    """True while some process holds the lock of `key`."""
    path = _path(key, _LOCK)
    if not _is_ours(path):
        return False
    with contextlib.suppress(FileNotFoundError), hold_lock(key) as lock:
        return lock is None
    return False


@contextlib.contextmanager
def hold_lock(key: str) -> Iterator[IO[bytes] | None]:
    """Hold the lock of a key inside the block and remove its file after; gives None when another holds it."""
    path = _path(key, _LOCK)
    while True:
        with in_state_dir(lambda folder: _open_lock(path)) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
                return
            if not _is_same_file(file, path):
                continue
            try:
                yield file
            finally:
                path.unlink(missing_ok=True)
                remove_if_empty()
            return


def _open_lock(path: Path) -> IO[bytes]:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        file = os.fdopen(os.open(path, flags, 0o600), "rb+", buffering=0)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise system_failed(f"cannot use {path}", error) from None
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_size:
        file.close()
        raise SystemFailed(f"{path} was not written by clusterview", "Move it away")
    return file


def _is_same_file(file: IO[bytes], path: Path) -> bool:
    """False if the path was removed or recreated between opening and locking."""
    try:
        return os.fstat(file.fileno()).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
