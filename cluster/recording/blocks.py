"""The blocks of a recording file: each a gzip member of its own, so that `zcat` reads the whole file.

The extra field of a member's header (RFC 1952) has the member's length and the time that it covers. So a file
is indexed without being unpacked, and one that was cut off is read up to its last whole block.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass

from cluster.units import MIB

MOST_TEXT_BYTES = 128 * MIB
"""Of one block, unpacked."""
LATEST_S = 1e11
_FIXED = struct.Struct("<2sBBIBBH")
"""Magic, method, flags, mtime, extra flags, system, length of the extra field."""
_EXTRA = struct.Struct("<2sHIddB")
"""Our subfield: its id and length; the member's length, first and last time, whether it starts anew."""
_SUBFIELD = b"CV"
_MAGIC, _DEFLATE, _HAS_EXTRA, _UNIX = b"\x1f\x8b", 8, 4, 3
HEAD_BYTES = _FIXED.size + _EXTRA.size
_LEVEL = 6


class Damaged(Exception):
    """A block, or a frame in it, is not what was written."""


@dataclass(frozen=True, slots=True)
class Block:
    """Where a block is in its file, and the Unix times of its first and last frame."""

    offset: int
    num_bytes: int
    first_at_s: float
    last_at_s: float
    is_key: bool
    """It begins with a whole state; the others continue the block before."""


def pack(text: bytes, first_at_s: float, last_at_s: float, *, is_key: bool) -> bytes:
    """Return the block that holds `text`."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = packer.compress(text) + packer.flush()
    tail = struct.pack("<II", zlib.crc32(text), len(text) & 0xFFFFFFFF)
    num_bytes = HEAD_BYTES + len(body) + len(tail)
    fixed = _FIXED.pack(_MAGIC, _DEFLATE, _HAS_EXTRA, 0, 0, _UNIX, _EXTRA.size)
    extra = _EXTRA.pack(_SUBFIELD, _EXTRA.size - 4, num_bytes, first_at_s, last_at_s, is_key)
    return fixed + extra + body + tail


def read_head(head: bytes, offset: int) -> Block:
    """Return the block that begins with these HEAD_BYTES bytes; Damaged where none does."""
    if len(head) < HEAD_BYTES:
        raise Damaged("it ends within a block's header")
    magic, method, flags, _, _, _, extra_size = _FIXED.unpack_from(head)
    name, size, num_bytes, first_at_s, last_at_s, is_key = _EXTRA.unpack_from(head, _FIXED.size)
    ours = (_MAGIC, _DEFLATE, _HAS_EXTRA, _EXTRA.size, _SUBFIELD, _EXTRA.size - 4)
    if (magic, method, flags, extra_size, name, size) != ours or num_bytes <= HEAD_BYTES:
        raise Damaged("there is no block")
    if not (math.isfinite(first_at_s) and 0 <= first_at_s <= last_at_s <= LATEST_S):
        raise Damaged("its times are not times")
    return Block(offset, num_bytes, first_at_s, last_at_s, bool(is_key))


def unpack(packed: bytes) -> bytes:
    """Return the text of a block; Damaged where its checksum is wrong or it is too large."""
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        text = unpacker.decompress(packed, MOST_TEXT_BYTES)
    except zlib.error as error:
        raise Damaged(f"its data cannot be unpacked ({error})") from None
    if not unpacker.eof:
        raise Damaged("a block is incomplete, or unpacks to more than the limit")
    return text
