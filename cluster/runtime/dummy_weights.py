"""Dummy weights: a hash of seed, tensor name, row and column, so that any slice can be generated on its own.

Every layout of the same model and seed therefore holds slices of the same full weights.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable

import torch

from cluster.runtime.partition import Span
from cluster.runtime.rank_weights import WeightSlice

MASK = 0xFFFFFFFF
# Elements hashed at a time, which keeps the int64 temporaries to about 100 MB.
CHUNK_ELEMENTS = 4 * 2**20


def fill_with_dummy(slices: list[WeightSlice], seed: int, on_progress: Callable[[float], None]) -> None:
    """Fill norms with ones and the rest uniformly, scaled so that activations stay near one."""
    total = sum(weight_slice.out.numel() for weight_slice in slices) or 1
    done = 0
    for weight_slice in slices:
        if weight_slice.name.endswith("norm.weight"):
            weight_slice.out.fill_(1.0)
        else:
            _fill_uniform(weight_slice, seed)
        done += weight_slice.out.numel()
        on_progress(done / total)


def _fill_uniform(weight_slice: WeightSlice, seed: int) -> None:
    out = weight_slice.out if weight_slice.out.dim() == 2 else weight_slice.out.unsqueeze(1)
    columns = weight_slice.columns or Span(0, out.shape[1])
    salt = (zlib.crc32(weight_slice.name.encode()) ^ (seed * 0x9E3779B1)) & MASK
    is_embedding = weight_slice.name.endswith("embed_tokens.weight")
    bound = math.sqrt(3.0 / (1 if is_embedding else weight_slice.shape[-1]))
    step = max(1, CHUNK_ELEMENTS // max(1, out.shape[1]))
    for first in range(0, out.shape[0], step):
        target = out[first : first + step]
        row_ids = torch.arange(target.shape[0], device=out.device) + (weight_slice.rows.first + first)
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
