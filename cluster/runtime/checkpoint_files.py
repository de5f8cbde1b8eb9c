"""Checks that a checkpoint folder is complete, from file names, sizes and headers. Does not import torch."""

from __future__ import annotations

import json
import os
from pathlib import Path

TOKENIZER = "tokenizer.json"
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
_MAX_INDEX_BYTES = 64 * 2**20
_LENGTH_BYTES = 8


def checkpoint_problem(folder: Path) -> str:
    """Return why the built-in engine cannot load `folder`, in one phrase; '' when it can."""
    try:
        return _problem(folder)
    except OSError as error:
        return f"{error.filename or folder} cannot be read ({error.strerror or error})"
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return f"{folder / INDEX} is not an index of safetensors files"


def tokenizer_problem(folder: Path) -> str:
    """Return why the tokenizer in `folder` cannot be used, in one phrase; '' when it can."""
    try:
        readable = os.access(folder / TOKENIZER, os.R_OK)
    except (OSError, ValueError):
        readable = False
    return "" if readable else f"{folder} has no readable {TOKENIZER}"


def _problem(folder: Path) -> str:
    if not folder.exists():
        return f"{folder} does not exist"
    if not folder.is_dir():
        return f"{folder} is not a folder"
    if not (folder / "config.json").is_file():
        return f"{folder} has no config.json"
    names = shard_names(folder)
    if not names:
        return f"{folder} has neither {SINGLE} nor {INDEX}"
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        return f"{len(missing)} of {len(names)} weight files are missing from {folder} ({missing[0]})"
    return next((problem for name in names if (problem := file_problem(folder / name))), "")


def shard_names(folder: Path) -> list[str]:
    """Return the names of the checkpoint's weight files in `folder`; [] when it has none.

    Raises OSError, or ValueError, KeyError, AttributeError, TypeError or RecursionError for a bad index.
    """
    index = folder / INDEX
    if not index.is_file():
        return [SINGLE] if (folder / SINGLE).is_file() else []
    if index.stat().st_size > _MAX_INDEX_BYTES:
        raise ValueError("the index is too large")
    listed = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
    names = sorted({str(name) for name in listed})
    if any(Path(name).name != name for name in names):
        raise ValueError("the index names files outside its folder")
    return names


def file_problem(path: Path) -> str:
    """Return why a safetensors file cannot be read or is shorter than its header says; '' when it is fine."""
    if not os.access(path, os.R_OK):
        return f"{path} cannot be read (no permission)"
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if size_bytes < _LENGTH_BYTES or length > size_bytes - _LENGTH_BYTES:
            return f"{path} is truncated"
        end = _end_of_tensors(file.read(length))
    return "" if size_bytes >= _LENGTH_BYTES + length + end else f"{path} is truncated"


def _end_of_tensors(header: bytes) -> int:
    """Return the bytes of tensor data that a header declares; 0 if unreadable, which loading will report."""
    try:
        spans = (entry.get("data_offsets") for name, entry in json.loads(header).items() if name[:2] != "__")
        return max((int(span[1]) for span in spans), default=0)
    except (ValueError, AttributeError, TypeError, IndexError, RecursionError):
        return 0
