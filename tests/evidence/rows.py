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


REPORTS = "reports*.jsonl"
"""Rows that `clusterview report` wrote."""


def made_up(row: Row) -> str:
    """Return why a row is no evidence: it ran on simulated GPUs, or with random weights; '' if it is."""
    if row.get("simulated"):
        return "SIMULATED"
    return "DUMMY WEIGHTS" if row.get("dummy_weights") else ""


def named_rows(folder: Path, *patterns: str) -> list[tuple[str, Row]]:
    """Return (title in the tables, row) for every row of evidence in the files that match a pattern."""
    return [(name, row) for name, row in _all_rows(folder, *patterns) if not made_up(row)]


def left_out_lines(folder: Path) -> list[str]:
    """Return a line for each row that is marked as no evidence."""
    reasons = ((name, made_up(row)) for name, row in _all_rows(folder, "*.jsonl"))
    return [f"left out: {name.strip()}: {reason}" for name, reason in reasons if reason]


def _all_rows(folder: Path, *patterns: str) -> list[tuple[str, Row]]:
    named = []
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
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
