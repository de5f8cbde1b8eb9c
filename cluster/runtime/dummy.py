"""Weights that are made up: a hash of seed, tensor name, row and column, so that any slice can be made alone.

Every layout of the same model and seed therefore holds slices of the same full weights.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable

import torch

from cluster.runtime.partition import Span
from cluster.runtime.weights import Piece

MASK = 0xFFFFFFFF
# Elements hashed at once: bounds the int64 temporaries to about 100 MB.
CHUNK_ELEMENTS = 4 * 2**20


def fill_with_dummy(pieces: list[Piece], seed: int, on_progress: Callable[[float], None]) -> None:
    """Fill every piece: norms with ones, the rest uniformly with a spread that keeps activations near one."""
    total = sum(piece.out.numel() for piece in pieces) or 1
    done = 0
    for piece in pieces:
        if piece.name.endswith("norm.weight"):
            piece.out.fill_(1.0)
        else:
            _fill_uniform(piece, seed)
        done += piece.out.numel()
        on_progress(done / total)


def _fill_uniform(piece: Piece, seed: int) -> None:
    out = piece.out if piece.out.dim() == 2 else piece.out.unsqueeze(1)
    columns = piece.columns or Span(0, out.shape[1])
    salt = (zlib.crc32(piece.name.encode()) ^ (seed * 0x9E3779B1)) & MASK
    is_embedding = piece.name.endswith("embed_tokens.weight")
    bound = math.sqrt(3.0 / (1 if is_embedding else piece.shape[-1]))
    step = max(1, CHUNK_ELEMENTS // max(1, out.shape[1]))
    for first in range(0, out.shape[0], step):
        target = out[first : first + step]
        row_ids = torch.arange(target.shape[0], device=out.device) + (piece.rows.first + first)
        bits = _hash(row_ids, torch.arange(columns.first, columns.end, device=out.device), salt)
        target.copy_(bits.to(torch.float32).mul_(2 * bound / 2**32).sub_(bound))


def _hash(rows: torch.Tensor, columns: torch.Tensor, salt: int) -> torch.Tensor:
    """Return 32 well-mixed bits for every (row, column), as int64 of shape [rows, columns]."""
    row_bits = _mix(rows * 0x9E3779B1 + salt)
    column_bits = _mix(columns * 0x85EBCA77 + 0x27D4EB2F)
    return _mix((row_bits.unsqueeze(1) + 3 * column_bits.unsqueeze(0)) & MASK)


def _mix(bits: torch.Tensor) -> torch.Tensor:
    """Spread every input bit over all 32 output bits (xor-shift and multiply rounds)."""
    bits = bits & MASK
    bits = ((bits ^ (bits >> 16)) * 0x45D9F3B) & MASK
    bits = ((bits ^ (bits >> 15)) * 0x119DE1F3) & MASK
    return bits ^ (bits >> 16)
