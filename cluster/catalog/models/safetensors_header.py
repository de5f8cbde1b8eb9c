"""The header of a safetensors file: every tensor's dtype, shape and offsets, checked against the file size.

The format: eight bytes with the header's length, a JSON object, then the tensors one after another. Their
offsets count from the end of the header, leave no gap, never overlap, and end where the file ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from cluster.errors import BadInput, refused
from cluster.json_file import HEADER, parse_json, shown
from cluster.text import clean
from cluster.units import format_bytes

_FETCH_AGAIN = "The file may be truncated or damaged: download it again"
_LFS_POINTER = b"version https://git-lfs"
_MOST_DIMENSIONS = 16
# Bits per element. A dtype that is not here is newer than this list: its size is taken from the offsets.
_BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("BOOL", "I8", "U8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}


@dataclass(frozen=True, slots=True)
class Held:
    """One tensor of a file: how its elements are stored, its shape, and its bytes."""

    dtype: str
    shape: tuple[int, ...]
    size_bytes: int


def read_header(path: Path) -> dict[str, Held]:
    """Return every tensor of a safetensors file, from its header alone; BadInput names what is wrong."""
    try:
        file_bytes = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            _check_length(path, start, length, file_bytes)
            text = file.read(length).decode("utf-8")
    except UnicodeDecodeError:
        raise _not_one(path, "its header is not UTF-8") from None
    except OSError as error:
        raise refused(f"{shown(path)} cannot be read", error) from None
    header = parse_json(text, f"the header of {shown(path)}", HEADER)
    if not isinstance(header, dict):
        raise _not_one(path, "its header is not an object")
    entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    _check_places(path, entries, file_bytes - 8 - length)
    return {name: _held(path, name, entry) for name, entry in entries.items()}


def _check_length(path: Path, start: bytes, length: int, file_bytes: int) -> None:
    if start == _LFS_POINTER[:8]:
        raise BadInput(
            f"{shown(path)} is a Git LFS pointer, not the weights", "Download them with: git lfs pull"
        )
    if file_bytes < 8 or length > file_bytes - 8:
        raise _not_one(path, "it ends inside its header")
    if length > HEADER.most_bytes:
        raise BadInput(
            f"{shown(path)} has a header of {format_bytes(length)}",
            f"The limit is {format_bytes(HEADER.most_bytes)}",
        )


def _check_places(path: Path, entries: dict[str, Any], data_bytes: int) -> None:
    """Raise BadInput if tensors overlap, leave gaps, or do not end with the file."""
    end, last = 0, "the header"
    for begin, stop, name in sorted(_place(path, name, entry) for name, entry in entries.items()):
        if begin != end:
            what = "overlaps" if begin < end else f"leaves a gap of {begin - end:,} bytes after"
            raise _not_one(path, f"tensor {clean(name, 80)} {what} {clean(last, 80)}")
        end, last = stop, name
    if data_bytes < end:
        raise BadInput(
            f"{shown(path)} is truncated: {end - data_bytes:,} bytes of its tensors are missing", _FETCH_AGAIN
        )
    if data_bytes > end:
        raise _not_one(path, f"{data_bytes - end:,} bytes after its last tensor belong to no tensor")


def _place(path: Path, name: str, entry: Any) -> tuple[int, int, str]:
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    if isinstance(offsets, list) and len(offsets) == 2 and all(type(place) is int for place in offsets):
        begin, stop = offsets
        if 0 <= begin <= stop < 2**63:
            return begin, stop, name
    raise _not_one(path, f"tensor {clean(name, 80)} has no valid data_offsets")


def _held(path: Path, name: str, entry: dict[str, Any]) -> Held:
    """Return one tensor; its place was checked before."""
    dtype, shape = entry.get("dtype"), entry.get("shape")
    size_bytes = entry["data_offsets"][1] - entry["data_offsets"][0]
    if not isinstance(dtype, str) or not _is_shape(shape):
        raise _not_one(path, f"tensor {clean(name, 80)} has no valid dtype or shape")
    bits = _BITS.get(dtype)
    stated = None if bits is None else -(-math.prod(shape) * bits // 8)
    if stated is not None and stated != size_bytes:
        raise _not_one(
            path,
            f"tensor {clean(name, 80)} of {clean(dtype, 12)} {shape[:4]} needs {stated:,} bytes, "
            f"but its offsets span {size_bytes:,}",
        )
    return Held(dtype, tuple(shape), size_bytes)


def _is_shape(shape: Any) -> TypeGuard[list[int]]:
    return (
        isinstance(shape, list)
        and len(shape) <= _MOST_DIMENSIONS
        and all(type(size) is int and 0 <= size < 2**48 for size in shape)
    )


def _not_one(path: Path, reason: str) -> BadInput:
    return BadInput(f"{shown(path)} is not a valid safetensors file: {reason}", _FETCH_AGAIN)
