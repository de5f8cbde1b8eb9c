"""Reads a rank's slices from a Hugging Face folder. Never reads more of a tensor than the slice needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster.errors import BadInput
from cluster.json_file import INDEX as INDEX_LIMIT
from cluster.json_file import read_json
from cluster.runtime.checkpoint_files import INDEX, SINGLE
from cluster.runtime.rank_weights import WeightSlice
from cluster.text import clean

READABLE_DTYPES = ("F64", "F32", "F16", "BF16")


class CheckpointReader:
    """A folder with one safetensors file, or several and an index. A context manager."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._file_of = _weight_map(self._folder)
        self._open: dict[str, Any] = {}
        self.bytes_read = 0
        """Bytes read so far, in the checkpoint's own dtype."""

    def __enter__(self) -> CheckpointReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.clear()

    def fill(self, slices: list[WeightSlice], on_progress: Callable[[float], None]) -> None:
        """Copy every slice into its tensor, converting dtype and device. Progress is 0 to 1."""
        total = sum(weight_slice.out.numel() for weight_slice in slices) or 1
        done = 0
        for weight_slice in slices:
            self._fill_one(weight_slice)
            done += weight_slice.out.numel()
            on_progress(done / total)

    def _fill_one(self, weight_slice: WeightSlice) -> None:
        stored = self._slice_of(weight_slice.name)
        self._check(weight_slice, tuple(stored.get_shape()), stored.get_dtype())
        if not weight_slice.out.numel():
            return
        rows = slice(weight_slice.rows.first, weight_slice.rows.end)
        values = stored[rows] if weight_slice.columns is None else stored[rows, _columns(weight_slice)]
        self.bytes_read += values.numel() * values.element_size()
        weight_slice.out.copy_(values)

    def _check(self, weight_slice: WeightSlice, shape: tuple[int, ...], dtype: str) -> None:
        if shape != weight_slice.shape:
            raise BadInput(
                f"{self._folder}: {weight_slice.name} has shape {list(shape)}, "
                f"but config.json implies {list(weight_slice.shape)}",
                "config.json and the weights belong to different models",
            )
        if dtype not in READABLE_DTYPES:
            raise BadInput(
                f"{self._folder}: {weight_slice.name} is stored as {dtype}",
                f"The built-in engine reads only {', '.join(READABLE_DTYPES)}; use an unquantized checkpoint",
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
    """Open a safetensors file; BadInput when it is missing, truncated or not safetensors."""
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(str(path), framework="pt", device="cpu")
    except FileNotFoundError as error:
        raise BadInput(f"{path} is missing", "Download the checkpoint again") from error
    except (SafetensorError, OSError) as error:
        raise BadInput(
            f"{path} cannot be read: {clean(str(error))}", "It may be truncated; download it again"
        ) from error


def _columns(weight_slice: WeightSlice) -> slice:
    assert weight_slice.columns is not None
    return slice(weight_slice.columns.first, weight_slice.columns.end)


def _weight_map(folder: Path) -> dict[str, str]:
    index = folder / INDEX
    if index.is_file():
        return _read_index(index)
    if not (folder / SINGLE).is_file():
        raise BadInput(f"{folder} has neither {SINGLE} nor {INDEX}", "Give a folder with safetensors weights")
    return dict.fromkeys(open_safetensors(folder / SINGLE).keys(), SINGLE)


def _read_index(index: Path) -> dict[str, str]:
    held = read_json(index, INDEX_LIMIT)
    mapping = held.get("weight_map") if isinstance(held, dict) else None
    if not isinstance(mapping, dict):
        raise BadInput(f"{index} is not a safetensors index", "Download the checkpoint again")
    entries = {str(name): str(file) for name, file in mapping.items()}
    outside = next((file for file in entries.values() if Path(file).name != file), None)
    if outside is not None:
        raise BadInput(f"{index} names a file outside its folder: {clean(outside)}")
    return entries
