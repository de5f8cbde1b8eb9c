"""A recording that is opened for reading: an index of its blocks, and the frames in them."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cluster.errors import BadInput, refused
from cluster.json_file import FileLimit, refuse_large, shown
from cluster.recording.blocks import HEAD_BYTES, Block, Damaged, read_head, unpack
from cluster.recording.frames import Header, read_frames, read_header
from cluster.units import GIB

MOST_BLOCKS = 500_000
"""Four weeks."""
LIMIT = FileLimit("a recording", 16 * GIB)


@dataclass(frozen=True)
class Recording:
    """What is in a file, without its contents: those are read when they are needed."""

    path: Path
    header: Header
    blocks: tuple[Block, ...]
    cut_off: str = ""
    """Why the file ends early; '' where it ends with a whole block."""

    @property
    def first_at_s(self) -> float:
        """Unix time of the first frame."""
        return self.blocks[0].first_at_s

    @property
    def last_at_s(self) -> float:
        """Unix time of the last frame."""
        return self.blocks[-1].last_at_s

    @cached_property
    def _keys(self) -> list[int]:
        return [number for number, block in enumerate(self.blocks) if block.is_key]

    @cached_property
    def _key_times(self) -> list[float]:
        return [self.blocks[number].first_at_s for number in self._keys]

    def key_block_at(self, at_s: float) -> int:
        """Return the number of the last block that starts anew at or before a time; else the first."""
        return self._keys[max(0, bisect_right(self._key_times, at_s) - 1)]

    def key_block_before(self, number: int) -> int | None:
        """Return the block that starts anew before this one; None where there is none."""
        earlier = [key for key in self._keys if key < number]
        return earlier[-1] if earlier else None

    def key_block_after(self, number: int) -> int | None:
        """Return the next block that starts anew after this one; None where there is none."""
        position = bisect_right(self._keys, number)
        return self._keys[position] if position < len(self._keys) else None

    def frames(self, number: int) -> Iterator[tuple[float, dict[str, Any]]]:
        """Yield (time, frame) of a block; Damaged where it is not what was written."""
        block = self.blocks[number]
        for at_s, frame in read_frames(self._text(block)):
            if not block.first_at_s <= at_s <= block.last_at_s:
                raise Damaged("a frame is not of the time that its block covers")
            yield at_s, frame

    def _text(self, block: Block) -> bytes:
        try:
            with self.path.open("rb") as file:
                file.seek(block.offset)
                return unpack(file.read(block.num_bytes))
        except OSError as error:
            raise refused(f"{shown(self.path)} cannot be read", error) from None


def open_recording(path: Path) -> Recording:
    """Index a recording; BadInput says what is wrong with a file that is none, or is damaged at its start."""
    try:
        refuse_large(path, LIMIT)
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            blocks, cut_off = _index(file.fileno(), size_bytes, shown(path))
    except (OSError, ValueError) as error:
        found = error if isinstance(error, OSError) else OSError(22, str(error))
        raise refused(f"{shown(path)} cannot be read", found) from None
    return _checked(Recording(path, _header(path, blocks[0]), blocks, cut_off))


def _index(file: int, size_bytes: int, where: str) -> tuple[tuple[Block, ...], str]:
    """Go from block to block; returns them and why it ended before the end of the file."""
    blocks: list[Block] = []
    offset, last_s = 0, 0.0
    while offset < size_bytes:
        try:
            block = read_head(os.pread(file, HEAD_BYTES, offset), offset)
            if block.first_at_s < last_s:
                raise Damaged("its times go back")
        except Damaged as damaged:
            if not blocks:
                raise BadInput(
                    f"{where} is not a recording", "Create one with: clusterview record FILE"
                ) from None
            return tuple(blocks), f"damaged: {damaged}"
        offset, last_s = offset + block.num_bytes, block.last_at_s
        if offset > size_bytes:
            if not blocks:
                raise BadInput(f"{where} is cut off before its first frame", "Nothing can be played")
            return tuple(blocks), "cut off"
        blocks.append(block)
        if len(blocks) > MOST_BLOCKS:
            raise BadInput(f"{where} has more than {MOST_BLOCKS:,} blocks", "Record shorter pieces")
    if not blocks:
        raise BadInput(f"{where} is empty", "Nothing was recorded")
    return tuple(blocks), ""


def _header(path: Path, block: Block) -> Header:
    with path.open("rb") as file:
        try:
            text = unpack(file.read(block.num_bytes))
        except Damaged as damaged:
            raise BadInput(f"{shown(path)} is damaged: {damaged}") from None
    return read_header(text.partition(b"\n")[0], shown(path))


def _checked(recording: Recording) -> Recording:
    if not recording.blocks[0].is_key:
        raise BadInput(f"{shown(recording.path)} lacks its beginning", "Copy the whole file again")
    return recording
