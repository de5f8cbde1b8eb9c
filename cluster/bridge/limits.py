"""Check what Ray needs on this machine; without it Ray fails late, or hangs without a reason."""

from __future__ import annotations

import contextlib
import os
import resource
import tempfile
from pathlib import Path

from cluster.bridge.state.folder import VARIABLE, nearest_existing, state_path
from cluster.errors import SystemFailed
from cluster.units import format_bytes

# With 64, a simulated cluster of 8 GPUs never comes up; with 96 it does, without room to grow.
FEWEST_OPEN_FILES = 128
# What Ray itself asks for.
_OPEN_FILES = 65536
_STATE_BYTES = 1024**2
_TEMP_BYTES = 64 * 1024**2
_SHARED_MEMORY = Path("/dev/shm")


def allow_open_files() -> int:
    """Raise the soft limit on open files as far as the hard one allows, and return it.

    Raises SystemFailed where that is too low for Ray.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft == resource.RLIM_INFINITY:
        return _OPEN_FILES
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    if soft < FEWEST_OPEN_FILES:
        raise SystemFailed(
            f"this shell allows {soft} open files and Ray needs at least {FEWEST_OPEN_FILES}",
            "Raise it before you start clusterview: ulimit -n 4096 (beyond the hard limit only root can)",
        )
    return soft


def check_room() -> None:
    """Raise SystemFailed where this machine has no room for a Ray cluster of its own; makes nothing."""
    _check_free(
        nearest_existing(state_path()), _STATE_BYTES, f"Free some, or set {VARIABLE} to a folder elsewhere"
    )
    temp = Path("/tmp")
    _check_free(temp if temp.is_dir() else Path(tempfile.gettempdir()), _TEMP_BYTES, "Free some there")
    if _SHARED_MEMORY.is_dir() and not os.access(_SHARED_MEMORY, os.W_OK):
        hint = "Make it writable; in a container, mount a tmpfs there"
        raise SystemFailed(f"{_SHARED_MEMORY} cannot be written, and Ray keeps its objects there", hint)


def _check_free(folder: Path, needed_bytes: int, hint: str) -> None:
    if not os.access(folder, os.W_OK):
        raise SystemFailed(f"{folder} cannot be written", "Check its permissions and its filesystem")
    found = os.statvfs(folder)
    free_bytes = found.f_bavail * found.f_frsize
    if found.f_blocks and free_bytes < needed_bytes:
        figures = f"{format_bytes(free_bytes)} free, {format_bytes(needed_bytes)} needed"
        raise SystemFailed(f"no space left in {folder}: {figures}", hint)
    if found.f_files and not found.f_favail:
        raise SystemFailed(f"no space left in {folder}: no file can be made there (inodes used up)", hint)
