"""The actual size of a checkpoint on disk, from safetensors headers or, if shards are missing, the index."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.catalog.hf_config.quantization.module_set import bare_path
from cluster.catalog.model_spec import ModelSpec
from cluster.catalog.models.safetensors_header import Held, read_header
from cluster.catalog.models.shards import Shards, find_shards
from cluster.errors import BadInput
from cluster.json_file import shown
from cluster.units import count_of

# Not loaded as weights: tables and masks in old checkpoints that engines build themselves, adapters stored
# next to the weights they modify, draft layers.
_APART = re.compile(
    r"rotary_(?:pos_)?emb\.inv_freq$|\.(?:attn|attention)\.(?:masked_)?bias$|\.(?:\w{1,20}_decay|slope_rate)$"
    r"|\.lora_[AB]\.|(?:^|\.)(?:mtp|nextn|mtp_layers)\."
)
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d{1,9})\.")
_DECODER_LAYER = re.compile(r"(?:layers|h|blocks)\.\d{1,9}\.")
_EMBEDDING = re.compile(r"(?:embed_tokens|wte|word_embeddings|tok_embeddings)\.weight$")
_TOWER = re.compile("vision|visual|vit|audio|mm_projector|multi_modal")
_MOST_TENSORS = 1_000_000


@dataclass(frozen=True)
class Stored:
    """Bytes of a checkpoint's tensors that an engine loads, and where the figure comes from."""

    size_bytes: int
    source: str
    """'safetensors headers' or 'index'."""
    layer_bytes: tuple[int, ...] = ()
    """Bytes of each decoder layer; empty if the tensor names do not show them for every layer."""
    decoder_bytes: int = 0
    """Bytes of the tensors that certainly belong to decoder layers; 0 if the names do not show it."""
    layers_seen: frozenset[int] = frozenset()
    """Numbers of the decoder layers that have tensors."""
    embedding: tuple[int, ...] | None = None
    """Shape of the token embedding; None if none is found by name."""
    notes: tuple[str, ...] = ()


# Dtypes that an engine casts to the one it computes in when it loads an unquantized checkpoint.
_CAST = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_PLAIN_BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}


def stored_weights(folder: Path, model: ModelSpec, stated_dtype: str | None) -> Stored | None:
    """Return what an engine loads from the checkpoint in `folder`; None if there are no safetensors files.

    Draft layers, a second copy of a tied head and rebuilt tables are left out; unquantized weights count in
    the dtype the model computes in. Raises BadInput for a partial download and for a file that is truncated,
    damaged or not a safetensors file.
    """
    compute_bytes = _PLAIN_BYTES[model.dtype] if model.quantization is None else None
    shards = find_shards(folder)
    if shards.complete:
        return _from_headers(shards.paths, model, compute_bytes)
    if not shards.total_bytes:
        return None
    stored_bytes = _PLAIN_BYTES.get(stated_dtype or "", 0)
    scale = (compute_bytes or 0) / stored_bytes if compute_bytes and stored_bytes else 1.0
    return Stored(round(shards.total_bytes * scale), "index", notes=(_absent(shards),))


def _absent(shards: Shards) -> str:
    all_of_them = count_of(len(shards.paths) + len(shards.missing), "shard")
    return (
        f"{len(shards.missing):,} of {all_of_them} missing from the folder: "
        "weights are taken from the index; download the shards before you deploy"
    )


def _from_headers(paths: Iterable[Path], model: ModelSpec, compute_bytes: int | None) -> Stored:
    loaded: dict[str, int] = {}
    embeddings: list[tuple[int, ...]] = []
    for path in paths:
        held = read_header(path)
        if len(loaded) + len(held) > _MOST_TENSORS:
            raise BadInput(
                f"{shown(path.parent)} has more than {_MOST_TENSORS:,} tensors",
                "Give a folder with a single checkpoint",
            )
        for name, tensor in held.items():
            if _is_loaded(name, model.num_layers, model.tied_embeddings):
                loaded[name] = _engine_bytes(tensor, compute_bytes)
        embeddings += [tensor.shape for name, tensor in held.items() if _is_embedding(name, tensor)]
    layers, decoder_bytes, seen = _by_layer(loaded, model.num_layers)
    return Stored(
        sum(loaded.values()),
        "safetensors headers",
        layers,
        decoder_bytes,
        seen,
        embeddings[0] if len(embeddings) == 1 else None,
    )


def _is_embedding(name: str, tensor: Held) -> bool:
    is_table = len(tensor.shape) == 2 and tensor.dtype in _CAST and name.endswith(".weight")
    return is_table and _EMBEDDING.match(bare_path(name)) is not None


def _engine_bytes(tensor: Held, compute_bytes: int | None) -> int:
    if compute_bytes is None or tensor.dtype not in _CAST:
        return tensor.size_bytes
    return tensor.size_bytes // _CAST[tensor.dtype] * compute_bytes


def _by_layer(loaded: Mapping[str, int], num_layers: int) -> tuple[tuple[int, ...], int, frozenset[int]]:
    """Return the bytes of each layer, those of layers that are surely the decoder's, and these layers."""
    sums = [0] * num_layers
    decoder_bytes, seen = 0, set()
    for name, size in loaded.items():
        layer = _LAYER.search(name)
        if layer is None or _TOWER.search(name):
            continue
        number = int(layer[1])
        if number < num_layers:
            sums[number] += size
            if _DECODER_LAYER.match(bare_path(name)):
                decoder_bytes += size
                seen.add(number)
    return tuple(sums) if all(sums) else (), decoder_bytes, frozenset(seen)


def _is_loaded(name: str, num_layers: int, tied: bool) -> bool:
    if _APART.search(name):
        return False
    if tied and name.split(".")[-2:] == ["lm_head", "weight"]:
        return False
    layer = _LAYER.search(name)
    return layer is None or int(layer[1]) < num_layers or _TOWER.search(name) is not None
