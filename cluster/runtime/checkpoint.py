"""Reads a rank's slices from a Hugging Face folder; no tensor is ever read beyond the slice asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster.errors import BadInput
from cluster.json_file import INDEX as INDEX_LIMIT
from cluster.json_file import read_json
from cluster.runtime.checkpoint_files import INDEX, SINGLE
from cluster.runtime.weights import Piece
from cluster.text import clean

READABLE_DTYPES = ("F64", "F32", "F16", "BF16")


class Checkpoint:
    """A folder with one safetensors file, or several with an index. Close it, or use it in a `with`."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._file_of = _weight_map(self._folder)
        self._open: dict[str, Any] = {}
        self.bytes_read = 0
        """Bytes of all slices read so far, in the checkpoint's own dtype."""

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.clear()

    def fill(self, pieces: list[Piece], on_progress: Callable[[float], None]) -> None:
        """Copy every piece's slice into its tensor, converting dtype and device; progress is 0 to 1."""
        total = sum(piece.out.numel() for piece in pieces) or 1
        done = 0
        for piece in pieces:
            self._fill_one(piece)
            done += piece.out.numel()
            on_progress(done / total)

    def _fill_one(self, piece: Piece) -> None:
        stored = self._slice_of(piece.name)
        self._check(piece, tuple(stored.get_shape()), stored.get_dtype())
        if not piece.out.numel():
            return
        rows = slice(piece.rows.first, piece.rows.end)
        values = stored[rows] if piece.columns is None else stored[rows, _columns(piece)]
        self.bytes_read += values.numel() * values.element_size()
        piece.out.copy_(values)

    def _check(self, piece: Piece, shape: tuple[int, ...], dtype: str) -> None:
        if shape != piece.shape:
            raise BadInput(
                f"{self._folder}: {piece.name} is {list(shape)}, config.json implies {list(piece.shape)}",
                "config.json and weights belong to different models",
            )
        if dtype not in READABLE_DTYPES:
            raise BadInput(
                f"{self._folder}: {piece.name} is stored as {dtype}",
                f"The built-in engine reads {', '.join(READABLE_DTYPES)}; use another engine for the rest",
            )

    def _slice_of(self, name: str) -> Any:
        if name not in self._file_of:
            raise BadInput(
                f"{self._folder} has no tensor {name}", "The checkpoint is incomplete; download it again"
            )
        handle = self._handle(self._file_of[name])
        try:
            return handle.get_slice(name)
        except Exception as error:
            raise BadInput(f"{self._folder / self._file_of[name]} has no tensor {name}") from error

    def _handle(self, file_name: str) -> Any:
        if file_name not in self._open:
            self._open[file_name] = open_safetensors(self._folder / file_name)
        return self._open[file_name]


def open_safetensors(path: Path) -> Any:
    """Open a safetensors file; one that is missing, cut short or no safetensors at all is BadInput."""
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(str(path), framework="pt", device="cpu")
    except FileNotFoundError as error:
        raise BadInput(f"{path} is missing", "Download the checkpoint again") from error
    except (SafetensorError, OSError) as error:
        raise BadInput(
            f"{path} cannot be read: {clean(str(error))}", "It may be cut short; download it again"
        ) from error


def _columns(piece: Piece) -> slice:
    assert piece.columns is not None
    return slice(piece.columns.first, piece.columns.end)


def _weight_map(folder: Path) -> dict[str, str]:
    index = folder / INDEX
    if index.is_file():
        return _read_index(index)
    if not (folder / SINGLE).is_file():
        raise BadInput(f"{folder} has neither {SINGLE} nor {INDEX}", "Name a folder with safetensors weights")
    return dict.fromkeys(open_safetensors(folder / SINGLE).keys(), SINGLE)


def _read_index(index: Path) -> dict[str, str]:
    held = read_json(index, INDEX_LIMIT)
    mapping = held.get("weight_map") if isinstance(held, dict) else None
    if not isinstance(mapping, dict):
        raise BadInput(f"{index} is no safetensors index", "Download the checkpoint again")
    entries = {str(name): str(file) for name, file in mapping.items()}
    outside = next((file for file in entries.values() if Path(file).name != file), None)
    if outside is not None:
        raise BadInput(f"{index} names a file outside its folder: {clean(outside)}")
    return entries
