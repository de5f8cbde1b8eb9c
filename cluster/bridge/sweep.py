"""Removing what was left behind by processes that were killed: embedded clusters, and logs of sessions."""

from __future__ import annotations

import shutil
from pathlib import Path

from cluster.bridge.process_table import (
    descendants,
    end_all,
    process_exists,
    processes_titled,
    processes_with,
)

TEMP_PREFIX = "cv-"
TEMP_DIR_VARIABLE = "RAY_TMPDIR"


def sweep(temp_dir: str) -> None:
    """End the processes that have this folder as theirs, and remove it."""
    folder = Path(temp_dir)
    if not folder.name.startswith(TEMP_PREFIX):
        return
    end_all(lambda: _processes_of(temp_dir))
    shutil.rmtree(folder, ignore_errors=True)


def _processes_of(temp_dir: str) -> list[int]:
    """Return the processes that were started for this folder, and all below them.

    Ray's agents overwrite their environment with a title; they have their logs in the folder open.
    """
    found = {*processes_with(TEMP_DIR_VARIABLE, temp_dir), *processes_titled("ray::", temp_dir)}
    return sorted(found.union(*(descendants(pid) for pid in found)))


def sweep_logs(folder: Path) -> None:
    """Remove the logs of sessions whose process is gone, 'bridge-PID-....log', from the state folder."""
    for log in folder.glob("bridge-*.log"):
        owner = log.name.split("-")[1]
        if owner.isdigit() and not process_exists(int(owner)):
            log.unlink(missing_ok=True)
