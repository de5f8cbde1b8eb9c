"""Reads evidence files: one JSON object per line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Row = dict[str, Any]

OWN_FOLDER = Path(__file__).with_name("data")
"""The evidence that comes with the project. Its alias files apply to other folders too."""


def read_rows(folder: Path, name: str) -> list[Row]:
    """Return the rows of a file in the folder; none if there is no such file."""
    path = folder / name
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def named_rows(folder: Path, pattern: str) -> list[tuple[str, Row]]:
    """Return (title in the tables, row) for every row of the files that match a pattern."""
    named = []
    for path in sorted(folder.glob(pattern)):
        for number, row in enumerate(read_rows(folder, path.name), start=1):
            layout = f"TP={row.get('tp')}" + (f" PP={row['pp']}" if row.get("pp", 1) > 1 else "")
            gpu = f" on {row['gpu']}" if row.get("gpu") else ""
            named.append(
                (f"{path.stem}:{number} {row.get('model')} {layout}{gpu} {row.get('version', '')}", row)
            )
    return named


def read_key(folder: Path, name: str) -> Row:
    """Return a JSON file that explains names in rows: the folder's own, else the project's, else {}."""
    for path in (folder / name, OWN_FOLDER / name):
        if path.exists():
            return dict(json.loads(path.read_text(encoding="utf-8")))
    return {}


def read_aliases(folder: Path) -> Row:
    """Return what the names of models and GPUs in rows mean."""
    return {"models": {}, "gpus": {}, **read_key(folder, "model_aliases.json")}
