"""Removing what an embedded cluster left behind when its keeper was killed."""

from __future__ import annotations

import shutil
from pathlib import Path

from cluster.bridge.process_table import end_processes, processes_with

TEMP_PREFIX = "cv-"
TEMP_DIR_VARIABLE = "RAY_TMPDIR"


def sweep(temp_dir: str) -> None:
    """End the processes that have this folder as theirs, and remove it."""
    folder = Path(temp_dir)
    if not folder.name.startswith(TEMP_PREFIX):
        return
    end_processes(processes_with(TEMP_DIR_VARIABLE, temp_dir))
    shutil.rmtree(folder, ignore_errors=True)
