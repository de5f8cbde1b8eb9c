"""Clean up after a killed keeper: end the processes it left, and remove its folder."""

from __future__ import annotations

import os
from pathlib import Path

from cluster.bridge.state.temp_dir import TEMP_DIR_VARIABLE, TEMP_PREFIX, is_our_temp_dir, remove_temp_dir
from cluster.process_table import descendants, end_all, processes_titled, processes_with


def clean_up(temp_dir: str) -> None:
    """End the processes that use this folder, and remove it; a folder that is not ours is left alone."""
    folder = Path(temp_dir)
    if not folder.is_absolute() or not folder.name.startswith(TEMP_PREFIX):
        return
    if os.path.lexists(folder) and not is_our_temp_dir(folder):
        return
    end_all(lambda: _processes_of(temp_dir))
    remove_temp_dir(folder)


def _processes_of(temp_dir: str) -> list[int]:
    """Return the processes that were started for this folder, and all below them.

    Ray's agents overwrite their environment with a title; they have their logs in the folder open.
    """
    found = {*processes_with(TEMP_DIR_VARIABLE, temp_dir), *processes_titled("ray::", temp_dir)}
    return sorted(found.union(*(descendants(pid) for pid in found)))
