"""Find a GPU type by what a user typed, or by the product name that a driver reports."""

from __future__ import annotations

import re
from functools import cache

from cluster.catalog.gpu_spec import GpuSpec
from cluster.catalog.gpus.read import gpu_types, read_gpu
from cluster.catalog.nearest import nearest_names, squeeze
from cluster.errors import UnknownName
from cluster.text import clean

_VENDOR_WORDS = re.compile(r"\b(nvidia|geforce|tesla|quadro|amd|instinct|radeon|gpu)\b", re.IGNORECASE)
# A MIG slice carries its parent's name: 'NVIDIA A100-SXM4-40GB MIG 1g.5gb'.
_SLICE = re.compile(r"\s+MIG\s+\S+$", re.IGNORECASE)
# How far a driver's total may be from the catalog's for the same board (ECC and firmware use some memory).
_MEMORY_TOLERANCE = 0.12


def all_gpu_types() -> tuple[str, ...]:
    """Return every canonical GPU type, sorted."""
    return gpu_types()


def find_gpu(name: str) -> GpuSpec:
    """Return the GPU type that a user means by `name`.

    Accepts canonical types ('A100-80GB'), in any case and with any separators, and the vendor's longer names.
    Raises UnknownName with the most similar types; also when several sizes match ('A100').
    """
    wanted = _reduce(name)
    for gpu_type in gpu_types():
        if squeeze(gpu_type) == wanted:
            return read_gpu(gpu_type)
    matches = _types_by_spelling().get(wanted, ())
    if len(matches) == 1:
        return read_gpu(matches[0])
    shown = clean(name, 80)
    sizes = matches or tuple(
        kind for kind in gpu_types() if kind.lower().startswith(f"{name.strip().lower()}-")
    )
    if wanted and sizes:
        raise UnknownName(f"GPU type '{shown}' is ambiguous", f"Use one of {', '.join(sizes)}")
    near = nearest_names(wanted, gpu_types())
    raise UnknownName(
        f"Unknown GPU type '{shown}'",
        f"Did you mean {', '.join(near)}?" if near else f"Known types: {', '.join(gpu_types())}",
    )


def match_product(product_name: str, memory_total_bytes: int | None) -> GpuSpec | None:
    """Return the type whose product name and memory a driver reported; None when the catalog has none.

    The memory decides between sizes of one product. A MIG slice matches its parent. Never raises.
    """
    is_slice = bool(_SLICE.search(product_name))
    wanted = _reduce(_SLICE.sub("", product_name))
    if not wanted:
        return None
    spellings = _types_by_spelling()
    types = spellings.get(wanted) or _longest_prefix(wanted, spellings)
    specs = [read_gpu(gpu_type) for gpu_type in types]
    if memory_total_bytes is None or is_slice:
        return specs[0] if len(specs) == 1 else None
    near = [spec for spec in specs if _distance(spec, memory_total_bytes) <= _MEMORY_TOLERANCE]
    return min(near, key=lambda spec: _distance(spec, memory_total_bytes), default=None)


def _distance(spec: GpuSpec, memory_bytes: int) -> float:
    return abs(memory_bytes - spec.memory_bytes) / spec.memory_bytes


def _reduce(name: str) -> str:
    return squeeze(_VENDOR_WORDS.sub(" ", name[:200]))


@cache
def _types_by_spelling() -> dict[str, tuple[str, ...]]:
    spellings: dict[str, tuple[str, ...]] = {}
    for gpu_type in gpu_types():
        for spelling in {_reduce(gpu_type), *map(_reduce, read_gpu(gpu_type).product_names)}:
            spellings[spelling] = (*spellings.get(spelling, ()), gpu_type)
    return spellings


def _longest_prefix(wanted: str, spellings: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the types of the longest spelling that `wanted` starts with, as in 'h100 80gb hbm3e'."""
    lengths = sorted({len(spelling) for spelling in spellings}, reverse=True)
    for length in lengths:
        # Two letters and digits ('t4') would swallow unrelated products ('t400').
        if 3 <= length < len(wanted) and not (wanted[length - 1].isdigit() and wanted[length].isdigit()):
            types = spellings.get(wanted[:length])
            if types:
                return types
    return ()
