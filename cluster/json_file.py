"""Read JSON files from outside within limits: the size is checked before anything is read."""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.errors import BadInput, refused
from cluster.text import clean
from cluster.units import MIB, format_bytes

_DAMAGED = "The file may be truncated: download it again"


@dataclass(frozen=True, slots=True)
class FileLimit:
    """How large one kind of file may be. `most_values` bounds the memory that its JSON values take."""

    kind: str
    most_bytes: int
    most_values: int = 2_000_000


CONFIG = FileLimit("a config.json", 8 * MIB)
INDEX = FileLimit("an index of shards", 64 * MIB)
HEADER = FileLimit("a safetensors header", 16 * MIB)
SNAPSHOT = FileLimit("a cluster snapshot", 128 * MIB, 6_000_000)
TOKENIZER_LIMIT = FileLimit("a tokenizer.json", 256 * MIB)
SETTINGS = FileLimit("a settings file", MIB)


def read_bytes(path: Path, limit: FileLimit) -> bytes:
    """Return the contents of a file; BadInput if it is not a regular file, too large, or cannot be read."""
    try:
        refuse_large(path, limit)
        with path.open("rb") as file:
            data = file.read(limit.most_bytes + 1)
        if len(data) > limit.most_bytes:  # files such as those in /proc do not state their size
            raise too_large(path, len(data), limit)
        return data
    except OSError as error:
        raise refused(f"{shown(path)} cannot be read", error) from None


def read_json(path: Path, limit: FileLimit) -> Any:
    """Return the value in a JSON file; BadInput says what is wrong and where."""
    try:
        text = read_bytes(path, limit).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{shown(path)} cannot be read: {clean(str(error), 120)}",
            f"Expected {limit.kind}: UTF-8 JSON text",
        ) from None
    return parse_json(text, shown(path), limit)


def parse_json(text: str, where: str, limit: FileLimit) -> Any:
    """Return the value of JSON text; BadInput if it is not JSON, nested too deeply, or too many values."""
    refuse_many_values(text, where, limit)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInput(
            f"{where} is not JSON: {error.msg} at line {error.lineno} column {error.colno}", _DAMAGED
        ) from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; nested too deeply
        raise BadInput(f"{where} cannot be read: {clean(str(error), 120)}", _DAMAGED) from None


def refuse_many_values(text: str | bytes, where: str, limit: FileLimit) -> None:
    """Raise BadInput for JSON text that would take far more memory than its length: '[[],[],[] ...'."""
    marks = (",", "[", "{")
    if isinstance(text, bytes):
        num_values = sum(text.count(mark.encode()) for mark in marks)
    else:
        num_values = sum(text.count(mark) for mark in marks)
    if num_values > limit.most_values:
        raise BadInput(
            f"{where} has about {num_values:,} values",
            f"The limit for {limit.kind} is {limit.most_values:,}",
        )


def refuse_large(path: Path, limit: FileLimit) -> None:
    """Raise BadInput if `path` is not a regular file or too large; OSError if it does not exist."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise BadInput(f"{shown(path)} is not a regular file", f"Expected {limit.kind}")
    if status.st_size > limit.most_bytes:
        raise too_large(path, status.st_size, limit)


def too_large(path: Path, size_bytes: int, limit: FileLimit) -> BadInput:
    """Return the error for a file that is larger than its kind may be."""
    return BadInput(
        f"{shown(path)} is too large: {format_bytes(size_bytes)}",
        f"The limit for {limit.kind} is {format_bytes(limit.most_bytes)}",
    )


def shown(path: Path) -> str:
    """Return a path that is safe to print: file names come from outside too."""
    return clean(str(path))
