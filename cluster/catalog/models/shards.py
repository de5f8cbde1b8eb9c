"""The safetensors files of a model folder: which are there, which are missing, and what the index states."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.errors import BadInput
from cluster.json_file import INDEX, read_json, shown
from cluster.text import clean
from cluster.units import count_of

INDEX_NAME = "model.safetensors.index.json"
_SHARD = re.compile(r"(?P<stem>.*?)-?(?P<number>\d{1,6})-of-(?P<count>\d{1,6})\.safetensors")
# The same weights once more, under the names of the model's own code.
_SECOND_COPY = "consolidated"
_MOST_SHARDS = 10_000
_LONGEST_NAME = 200
_MOST_TOTAL_BYTES = 2**53
_DAMAGED = "The file may be truncated: download it again"


@dataclass(frozen=True, slots=True)
class Shards:
    """Files with weights: those present, those missing, and the total size that the index states."""

    paths: tuple[Path, ...]
    missing: tuple[str, ...] = ()
    total_bytes: int = 0
    """0 if no index states it."""

    @property
    def complete(self) -> bool:
        return bool(self.paths) and not self.missing


def find_shards(folder: Path) -> Shards:
    """Return the shards of a folder; raises BadInput for a bad index or a partial download."""
    index = folder / INDEX_NAME
    if index.is_file():
        names, total_bytes = _read_index(index)
        missing = tuple(name for name in names if not (folder / name).is_file())
        return Shards(tuple(folder / name for name in names if name not in missing), missing, total_bytes)
    paths = [path for path in sorted(folder.glob("*.safetensors")) if path.is_file()]
    others = [path for path in paths if not path.name.startswith(_SECOND_COPY)]
    _refuse_partial(folder, [path.name for path in others or paths])
    return Shards(tuple(others or paths))


def _refuse_partial(folder: Path, names: list[str]) -> None:
    """Raise BadInput if the shards' names say that some are missing: '00001-of-00030'."""
    if len(names) > _MOST_SHARDS:
        raise BadInput(
            f"{shown(folder)} has {len(names):,} safetensors files", f"The limit is {_MOST_SHARDS:,}"
        )
    present: dict[tuple[str, int], set[int]] = {}
    for found in filter(None, map(_SHARD.fullmatch, names)):
        present.setdefault((found["stem"], int(found["count"])), set()).add(int(found["number"]))
    for (stem, count), numbers in present.items():
        absent = count - len(numbers)
        if absent > 0:
            from_zero = 0 in numbers  # some count their shards so
            first = next(n for n in range(1 - from_zero, count + 2) if n not in numbers)
            name = f"{stem}-{first:05}-of-{count:05}.safetensors"
            raise BadInput(
                f"{shown(folder)} is a partial download: {count_of(absent, 'shard')} of {count:,} "
                f"{'is' if absent == 1 else 'are'} missing, such as {clean(name, 80)}",
                "Finish it (hf download MODEL --local-dir FOLDER resumes), or copy the config.json to a "
                "folder of its own and give that: the plan then uses the architecture alone",
            )


def _read_index(path: Path) -> tuple[list[str], int]:
    """Return the shard names of an index, sorted, and its total size (0 where it states none)."""
    index = read_json(path, INDEX)
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise BadInput(f"{shown(path)} is not a safetensors index: it has no weight_map", _DAMAGED)
    if not all(isinstance(name, str) for name in weight_map.values()):
        raise BadInput(f"{shown(path)}: weight_map names a shard that is not a string", _DAMAGED)
    names = sorted(set(weight_map.values()))
    if any(Path(name).name != name or len(name) > _LONGEST_NAME or not name.isprintable() for name in names):
        raise BadInput(
            f"{shown(path)} names shards outside its folder", "Shards must be in the same folder as the index"
        )
    if len(names) > _MOST_SHARDS:
        raise BadInput(f"{shown(path)} names {len(names):,} shards", f"The limit is {_MOST_SHARDS:,}")
    metadata = index.get("metadata")
    return names, _total_bytes(metadata.get("total_size") if isinstance(metadata, dict) else None, path)


def _total_bytes(stated: Any, path: Path) -> int:
    """Return a total size; some tools write it as a float."""
    if stated is None:
        return 0
    if type(stated) is float and math.isfinite(stated):
        stated = int(stated)
    if type(stated) is not int or not 0 < stated <= _MOST_TOTAL_BYTES:
        raise BadInput(
            f"{shown(path)}: metadata.total_size is not a valid size",
            f"Expected a number of bytes from 1 to {_MOST_TOTAL_BYTES:,}",
        )
    return stated
