"""The private folder of records, locks and logs, inside the place that the user chose.

Nothing that clusterview did not write is removed or changed. The place keeps its mode and its files. Every
file in the folder starts with a mark, which is checked before the file is used, replaced or removed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cluster.errors import BadInput, ClusterviewError, SystemFailed, refused

VARIABLE = "CLUSTERVIEW_STATE_DIR"
_NAME = "clusterview"
_ANOTHER = f"Set {VARIABLE} to another folder"
_CLOSE_IT = f"Close it with chmod 700, or set {VARIABLE} to another folder"
_TRIES = 20

Made = TypeVar("Made")


def slug(text: str) -> str:
    """Return a text as part of a file name."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", text.replace(",", "+"))


def state_root() -> Path:
    """Return the place that holds our folder, absolute; it may be shared, and may not exist yet."""
    chosen = os.environ.get(VARIABLE)
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    try:
        if chosen:
            return Path(chosen).expanduser().absolute()
        if runtime and Path(runtime).is_dir():
            return Path(runtime).absolute()
        return Path.home() / ".cache"
    except (OSError, RuntimeError) as error:
        raise SystemFailed(f"no folder for the state of running clusters: {error}", _ANOTHER) from None


def state_path() -> Path:
    """Return our folder, whether or not it exists: one for each machine and user, since places are shared."""
    owner = f"{slug(socket.gethostname())[:64]}-{os.getuid()}"
    return state_root() / f"{_NAME}-{owner}"


def lasting_path() -> Path:
    """Return the folder of what outlives clusters and reboots: measurements. The place of records may not."""
    if os.environ.get(VARIABLE):
        return state_path()
    chosen = os.environ.get("XDG_STATE_HOME")
    try:
        place = Path(chosen).absolute() if chosen else Path.home() / ".local" / "state"
    except (OSError, RuntimeError) as error:
        raise SystemFailed(f"no folder for measurements: {error}", _ANOTHER) from None
    return place / state_path().name


def state_dir() -> Path:
    """Return our folder, made with mode 0700 where it is absent; raises where that is impossible."""
    return in_state_dir(lambda folder: folder)


def in_state_dir(make: Callable[[Path], Made], path: Path | None = None) -> Made:
    """Make something in our folder, which another process may remove as empty at the same moment."""
    folder = path or state_path()
    for _ in range(_TRIES):
        try:
            return make(_make_dir(folder))
        except FileNotFoundError as error:
            last = error
    raise _cannot_use(folder.parent, last)


def _make_dir(folder: Path) -> Path:
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            _make_private(folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _cannot_use(folder.parent, error) from None
    _check_private(folder)
    return folder


def _make_private(folder: Path) -> None:
    """Give a folder that we made just now its mode; where the filesystem knows no modes, remove it again."""
    if folder.lstat().st_mode & 0o777 != 0o700:
        folder.chmod(0o700)
    try:
        _check_private(folder)
    except ClusterviewError:
        with contextlib.suppress(OSError):
            folder.rmdir()
        raise


def existing_state_dir(path: Path | None = None) -> Path | None:
    """Return our folder where it exists; looking makes nothing."""
    folder = path or state_path()
    try:
        folder.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _cannot_use(folder.parent, error) from None
    _check_private(folder)
    return folder


def check_usable() -> None:
    """Raise where our folder cannot be used, or could not be made; makes nothing."""
    if existing_state_dir() is not None:
        return
    place = state_root()
    if not os.access(nearest_existing(place), os.W_OK | os.X_OK):
        raise _cannot_use(place, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def nearest_existing(folder: Path) -> Path:
    """Return the folder, or the nearest above it that exists."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def _cannot_use(place: Path, error: OSError) -> ClusterviewError:
    hint = f"Set {VARIABLE} to a folder you can write"
    return refused(f"cannot use {place} for the state of running clusters", error, hint)


def _check_private(folder: Path) -> None:
    """Refuse a folder that others could read or write: its files hold secrets and are trusted."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise BadInput(f"{folder} is not a folder", _ANOTHER)
    if found.st_uid != os.getuid():
        raise SystemFailed(f"{folder} belongs to another user", _ANOTHER)
    if found.st_mode & 0o077:
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        raise SystemFailed(f"{folder} is open to other users (mode {mode})", _CLOSE_IT)


def remove_if_empty() -> None:
    """Remove our folder when nothing is in it any more."""
    with contextlib.suppress(OSError):
        state_path().rmdir()


def create_marked(path: Path, mark: bytes) -> int:
    """Create a file that begins with `mark` and return its descriptor, open for writing; raises OSError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    handle = os.open(path, flags, 0o600)
    try:
        if os.write(handle, mark) < len(mark):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
        os.close(handle)
        path.unlink()
        raise
    return handle


def read_marked(path: Path, mark: bytes, most_bytes: int = 2**16) -> bytes | None:
    """Return what a file of ours holds; None when it is absent, unreadable or begins otherwise."""
    # Without O_NONBLOCK a named pipe would be waited for.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        handle = os.open(path, flags)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid():
            return None
        with contextlib.suppress(OSError):
            content = file.read(most_bytes)
            return content if content.startswith(mark) else None
    return None
