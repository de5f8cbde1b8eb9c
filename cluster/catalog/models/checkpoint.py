"""What a checkpoint on disk really weighs: safetensors headers, or the index where shards are elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.catalog.model_spec import ModelSpec
from cluster.errors import BadInput
from cluster.text import clean

_MAX_HEADER_BYTES = 100 * 2**20
_INDEX = "model.safetensors.index.json"
_HINT = "Is the file cut short? Fetch it again"
# Rotary tables that old checkpoints carry and engines build themselves.
_REBUILT = re.compile(r"rotary_emb\.inv_freq$|rotary_pos_emb\.inv_freq$")
# Adapters beside the weights they change: engines load them apart.
_ADAPTER = re.compile(r"\.lora_[AB]\.")
_DRAFT = re.compile(r"(?:^|\.)(?:mtp|nextn|mtp_layers)\.")
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")
_TOWERS = ("vision", "visual", "vit", "audio", "mm_projector", "multi_modal")


@dataclass(frozen=True)
class Stored:
    """Bytes of a checkpoint's tensors that an engine loads, and where the figure comes from."""

    size_bytes: int
    source: str
    """'safetensors headers' or 'index'."""
    layer_bytes: tuple[int, ...] = ()
    """Bytes of each decoder layer; empty where the names do not tell them for every layer."""


@dataclass(frozen=True)
class Held:
    """One tensor of a file: how its elements are stored, and its bytes."""

    dtype: str
    size_bytes: int


# Dtypes that an engine casts to the one it computes in when it loads an unquantised checkpoint.
_CAST = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_PLAIN_BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}


def stored_weights(folder: Path, model: ModelSpec, stated_dtype: str | None) -> Stored | None:
    """Return what an engine loads of the checkpoint in `folder`; None where it holds no safetensors.

    Draft layers, a second copy of a tied head and rebuilt tables are left out; unquantised weights count in
    the dtype the model computes in. Raises BadInput for a file that is cut short or no safetensors file.
    """
    compute_bytes = _PLAIN_BYTES[model.dtype] if model.quantization is None else None
    index = folder / _INDEX
    listed = _listed_shards(index) if index.is_file() else None
    names = listed[0] if listed else [path.name for path in sorted(folder.glob("*.safetensors"))]
    paths = [folder / name for name in names]
    if paths and all(path.is_file() for path in paths):
        held = {name: tensor for path in paths for name, tensor in read_header(path).items()}
        loaded = {
            name: _engine_bytes(tensor, compute_bytes)
            for name, tensor in held.items()
            if _is_loaded(name, model.num_layers, model.tied_embeddings)
        }
        layers = _layer_bytes(loaded, model.num_layers)
        return Stored(sum(loaded.values()), "safetensors headers", layers)
    if not listed or not listed[1]:
        return None
    stored_bytes = _PLAIN_BYTES.get(stated_dtype or "", 0)
    scale = (compute_bytes or 0) / stored_bytes if compute_bytes and stored_bytes else 1.0
    return Stored(round(listed[1] * scale), "index")


def _engine_bytes(tensor: Held, compute_bytes: int | None) -> int:
    if compute_bytes is None or tensor.dtype not in _CAST:
        return tensor.size_bytes
    return tensor.size_bytes // _CAST[tensor.dtype] * compute_bytes


def _layer_bytes(loaded: Mapping[str, int], num_layers: int) -> tuple[int, ...]:
    sums = [0] * num_layers
    for name, size in loaded.items():
        layer = _LAYER.search(name)
        if layer is not None and not any(part in name for part in _TOWERS):
            sums[int(layer.group(1)[:9])] += size
    return tuple(sums) if all(sums) else ()


def _listed_shards(path: Path) -> tuple[list[str], int]:
    """Return the shard names of an index and its total size (0 where it states none)."""
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        shards = sorted({str(name) for name in index["weight_map"].values()})
        total = index.get("metadata", {}).get("total_size", 0)
    except (OSError, ValueError, RecursionError, KeyError, AttributeError, TypeError):
        raise BadInput(f"{clean(str(path))} is no index of safetensors shards", _HINT) from None
    if any(Path(name).name != name for name in shards):
        raise BadInput(f"{clean(str(path))} names shards outside its folder", "Shards lie beside their index")
    return shards, total if isinstance(total, int) and not isinstance(total, bool) and total > 0 else 0


def read_header(path: Path) -> dict[str, Held]:
    """Return every tensor of a safetensors file with its bytes, from its header alone.

    The header is a length of 8 bytes and a JSON object; offsets count from its end.
    """
    try:
        file_bytes = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if file_bytes < 8 or length > min(_MAX_HEADER_BYTES, file_bytes - 8):
                raise BadInput(
                    f"{clean(str(path))} is no safetensors file or cut short inside its header", _HINT
                )
            header: Any = json.loads(file.read(length))
        spans = {n: entry["data_offsets"] for n, entry in header.items() if n != "__metadata__"}
        held = {n: Held(str(header[n].get("dtype", "")), _span_bytes(span)) for n, span in spans.items()}
        end = max((span[1] for span in spans.values()), default=0)
    except (OSError, ValueError, RecursionError, KeyError, AttributeError, TypeError, IndexError):
        raise BadInput(
            f"{clean(str(path))} is no safetensors file: its header cannot be read", _HINT
        ) from None
    if file_bytes < 8 + length + end:
        short = 8 + length + end - file_bytes
        raise BadInput(f"{clean(str(path))} is cut short: {short:,} bytes of its tensors are missing", _HINT)
    return held


def _span_bytes(span: Any) -> int:
    start, end = span
    if (
        isinstance(start, bool)
        or not isinstance(start, int)
        or not isinstance(end, int)
        or not 0 <= start <= end
    ):
        raise ValueError("offsets out of order")
    return end - start


def _is_loaded(name: str, num_layers: int, tied: bool) -> bool:
    if _REBUILT.search(name) or _DRAFT.search(name) or _ADAPTER.search(name):
        return False
    if tied and name.split(".")[-2:] == ["lm_head", "weight"]:
        return False
    layer = _LAYER.search(name)
    in_tower = any(part in name for part in _TOWERS)
    return layer is None or in_tower or int(layer.group(1)[:9]) < num_layers
