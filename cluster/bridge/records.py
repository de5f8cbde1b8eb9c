"""Which embedded clusters of this user run: one record file each, in a folder only the user can read."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal

from pydantic import ValidationError

from cluster.bridge.sweep import sweep
from cluster.errors import BadInput
from cluster.frozen import FrozenModel

LOCAL_KEY = "local"
_ENDING = ".ending"

EmbeddedKind = Literal["simulated", "local"]


class ClusterRecord(FrozenModel):
    """How to find and enter a running embedded cluster. Holds a secret: written for the user alone."""

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


def state_dir() -> Path:
    """Return the folder of records and logs, mode 0700; raises BadInput where that is impossible."""
    chosen = os.environ.get("CLUSTERVIEW_STATE_DIR")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if chosen:
        folder = Path(chosen)
    elif runtime and Path(runtime).is_dir():
        folder = Path(runtime) / "clusterview"
    else:
        folder = Path.home() / ".cache" / "clusterview"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = folder.stat().st_uid
        if owner == os.getuid():
            folder.chmod(0o700)
    except OSError as error:
        raise BadInput(
            f"cannot use {folder} for the state of running clusters: {error.strerror}",
            "Set CLUSTERVIEW_STATE_DIR to a folder you can write",
        ) from None
    if owner != os.getuid():
        raise BadInput(f"{folder} belongs to another user", "Set CLUSTERVIEW_STATE_DIR to a folder of yours")
    return folder


def _slug(key: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", key.replace(",", "+"))


def record_path(key: str) -> Path:
    """Return where the record of `key` lies, whether or not there is one."""
    return state_dir() / f"{_slug(key)}.json"


def log_path(key: str) -> Path:
    """Return where the keeper of `key` writes what Ray says while it starts."""
    return state_dir() / f"{_slug(key)}.log"


def write_record(record: ClusterRecord) -> None:
    """Write the record so that a reader sees all of it or none, mode 0600."""
    path = record_path(record.key)
    draft = path.with_suffix(f".{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(record.model_dump_json())
    draft.rename(path)


def retire_record(key: str) -> None:
    """Let nobody find a cluster that is on its way out; what is left of it can still be swept up."""
    path = record_path(key)
    with contextlib.suppress(FileNotFoundError):
        path.replace(path.with_suffix(_ENDING))


def forget_record(key: str) -> None:
    """Remove the record of a cluster of which nothing is left."""
    record_path(key).with_suffix(_ENDING).unlink(missing_ok=True)


def any_ending() -> bool:
    """True while some cluster is on its way out, or was until its keeper was killed."""
    return any(state_dir().glob(f"*{_ENDING}"))


def read_record(key: str) -> ClusterRecord | None:
    """Return the record of a keeper that lives; what a dead keeper left is removed."""
    path = record_path(key)
    if path.with_suffix(_ENDING).exists():
        _read_living(path.with_suffix(_ENDING))
    return _read_living(path)


def read_records() -> list[ClusterRecord]:
    """Return the records of all living keepers of this user, by key; what dead ones left is removed."""
    for path in state_dir().glob(f"*{_ENDING}"):
        _read_living(path)
    found = (_read_living(path) for path in sorted(state_dir().glob("*.json")))
    return [record for record in found if record is not None]


def _read_living(path: Path) -> ClusterRecord | None:
    try:
        record = ClusterRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValidationError, OSError):
        record = None
    if record is not None and keeper_lives(record.key):
        return record
    # The keeper holds the lock for life, so whoever gets it may clean up after a dead one.
    with contextlib.suppress(OSError), hold_lock(path.stem) as lock:
        if lock is not None:
            if record is not None:
                sweep(record.temp_dir)
            path.unlink(missing_ok=True)
    return None


def keeper_lives(key: str) -> bool:
    """True while some process holds the lock of `key`."""
    with hold_lock(_slug(key)) as lock:
        return lock is None


@contextlib.contextmanager
def hold_lock(slug: str) -> Iterator[IO[bytes] | None]:
    """Hold the lock of a key inside the block and remove its file after; gives None when another holds it."""
    path = state_dir() / f"{_slug(slug)}.lock"
    while True:
        with path.open("wb") as file:
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
            return


def _is_same_file(file: IO[bytes], path: Path) -> bool:
    """False when the path was removed, or made anew, between opening and locking."""
    try:
        return os.fstat(file.fileno()).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
