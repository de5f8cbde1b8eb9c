"""Records of the fake engine's processes, so that a test finds and ends them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from fake_server.behaviour import ROOT


def record_process(role: str, name: str, rank: int | None = None) -> None:
    """Write this process's record, and set its name as vLLM does."""
    Path("/proc/self/comm").write_text(name[:15])
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    record = {
        "pid": os.getpid(),
        "role": role,
        "rank": rank,
        "started": started,
        "argv": sys.argv[1:],
        "env": dict(os.environ),
    }
    folder = ROOT / "processes"
    folder.mkdir(exist_ok=True)
    new = folder / f"{os.getpid()}.new"
    new.write_text(json.dumps(record))
    new.rename(folder / f"{os.getpid()}.json")
