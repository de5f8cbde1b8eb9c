"""The stored questions and answers: one JSON object a line."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ANSWERS = Path(__file__).with_name("answers.jsonl")

Row = tuple[tuple[str, ...], dict[str, Any]]


def read_rows() -> Iterator[Row]:
    """Return each stored command line with its answer."""
    for line in ANSWERS.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        yield tuple(shlex.split(row.pop("ask"))), row


def write_rows(rows: Iterable[Row]) -> None:
    """Replace the stored answers."""
    lines = (json.dumps({"ask": shlex.join(ask), **answer}) for ask, answer in rows)
    ANSWERS.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
