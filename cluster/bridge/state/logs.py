"""Logs in the state folder: Ray's output in a keeper or a session's child. Each starts with a mark."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from pathlib import Path

from cluster.bridge.state.folder import (
    create_marked,
    existing_state_dir,
    in_state_dir,
    read_marked,
    remove_if_empty,
    slug,
    state_path,
)
from cluster.errors import SystemFailed
from cluster.process_table import process_exists

_MARK = b"clusterview log 1\n"
_SESSION_LOG = re.compile(r"bridge-([0-9]{1,10})-[0-9a-f]{8}\.log")
_KEEPER_LOG = re.compile(r"cluster-[A-Za-z0-9_.+-]+\.log")


def log_path(key: str) -> Path:
    """Return where the keeper of `key` writes what Ray says while it starts."""
    return state_path() / f"cluster-{slug(key)}.log"


def open_keeper_log(key: str) -> int:
    """Start a new log of a keeper; returns a descriptor, of the null device if that fails."""
    path = log_path(key)
    try:
        remove_log(path)
        return in_state_dir(lambda folder: create_marked(folder / path.name, _MARK))
    except (OSError, SystemFailed):
        return os.open(os.devnull, os.O_WRONLY)


def new_session_log() -> tuple[int, Path]:
    """Create the log of this process's child; returns descriptor and path.

    Where the disk refuses it, the null device and an empty path: a deployment can be stopped without a log.
    """
    name = f"bridge-{os.getpid()}-{secrets.token_hex(4)}.log"
    try:
        return in_state_dir(lambda folder: create_marked(folder / name, _MARK)), state_path() / name
    except (OSError, SystemFailed):
        remove_if_empty()
        return os.open(os.devnull, os.O_WRONLY), Path()


def is_our_log(path: Path) -> bool:
    """True for a log that was made here: by its name, and by how it begins."""
    named = _SESSION_LOG.fullmatch(path.name) or _KEEPER_LOG.fullmatch(path.name)
    return bool(named) and read_marked(path, _MARK, len(_MARK)) is not None


def has_words(path: Path) -> bool:
    """True when there is something to read in a log of ours."""
    content = read_marked(path, _MARK)
    return content is not None and bool(content.removeprefix(_MARK).strip())


def remove_log(path: Path) -> None:
    """Remove a log of ours, and the folder when that was the last file in it."""
    if is_our_log(path):
        path.unlink(missing_ok=True)
        remove_if_empty()


def remove_old_session_logs() -> None:
    """Remove the logs of sessions whose process is gone."""
    folder = existing_state_dir()
    with contextlib.suppress(FileNotFoundError):
        for path in folder.iterdir() if folder is not None else ():
            match = _SESSION_LOG.fullmatch(path.name)
            if match and not process_exists(int(match[1])):
                remove_log(path)
