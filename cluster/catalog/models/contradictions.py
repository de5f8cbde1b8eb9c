"""Refuse weights that cannot be the ones that config.json describes.

The bounds come from real checkpoints. Where the architecture is known and nothing is quantized,
start-up logs of engines differ from the description by 0.01 % at the median and 1.3 % at the 95th percentile
(ACCURACY.md). Quantized ones differ more: bitsandbytes stores scales in a quarter of their bytes (6 %), some
convert the head too, and lists of unconverted modules are read by name. Embedding and reranking models come
without the head that their config describes. Bytes beyond the decoder's layers are often real: towers and
speech decoders that a description leaves out (up to a third of the whole).
"""

from __future__ import annotations

from pathlib import Path

from cluster.catalog.hf_config.totals import size_bytes
from cluster.catalog.model_spec import ModelSpec
from cluster.catalog.models.stored_weights import Stored
from cluster.errors import BadInput
from cluster.json_file import shown
from cluster.units import count_of, format_bytes

_PLAIN_SHARE = 0.05
_QUANTIZED_SHARE = 0.25
_MOST_EXTRA = 0.5
# An index counts draft layers, a tied head and 32-bit copies of 16-bit weights too.
_MOST_EXTRA_OF_AN_INDEX = 1.2
# A description from generic fields is off by more, but not by a factor like this.
_UNKNOWN_FACTOR = 5.0
_PLAIN = ("bf16", "fp16", "fp32")
_HINT = "Finish the download, or give a folder whose config.json and weights belong together"


def refuse_contradictions(folder: Path, model: ModelSpec, stored: Stored) -> None:
    """Raise BadInput if the weights in `folder` contradict the model that its config.json describes."""
    if not _is_described(model):
        _check_total(folder, model, stored, 1 / _UNKNOWN_FACTOR, _UNKNOWN_FACTOR)
        return
    share = _PLAIN_SHARE if model.quantization is None else _QUANTIZED_SHARE
    if stored.embedding is not None:
        _check_embedding(folder, model, stored.embedding, share)
    if stored.layers_seen:
        _check_layers(folder, model, stored, share if model.quantization is None else _MOST_EXTRA)
    head_bytes = 0 if model.head is None else model.head.size_bytes
    least = (1 - share) * (1 - head_bytes / max(1, model.weights_bytes))
    most = _MOST_EXTRA_OF_AN_INDEX if stored.source == "index" else _MOST_EXTRA
    _check_total(folder, model, stored, least, 1 + most)


def _is_described(model: ModelSpec) -> bool:
    """Whether the config describes the weights fully: a known architecture in a known format."""
    quantization = model.quantization
    return model.known_architecture and (
        quantization is None or quantization.weight_format.name not in _PLAIN
    )


def _check_embedding(folder: Path, model: ModelSpec, shape: tuple[int, ...], share: float) -> None:
    rows, columns = shape
    described = model.embedding
    if columns != described.in_features:
        raise BadInput(
            f"{shown(folder)}: hidden_size is {described.in_features:,} in config.json, "
            f"but the token embeddings in the weights are {rows:,} x {columns:,}",
            _HINT,
        )
    if abs(rows - described.out_features) > share * described.out_features:
        raise BadInput(
            f"{shown(folder)}: vocab_size is {described.out_features:,} in config.json, "
            f"but the weights have embeddings for {rows:,} tokens",
            _HINT,
        )


def _check_layers(folder: Path, model: ModelSpec, stored: Stored, share: float) -> None:
    sizes = [size_bytes(layer.tensors) for layer in model.layers]
    largest = max(sizes)
    # Layers without a mixer and without a feed-forward part have almost no weights.
    absent = [n for n, size in enumerate(sizes) if size > 0.01 * largest and n not in stored.layers_seen]
    if absent:
        raise BadInput(
            f"{shown(folder)}: num_hidden_layers is {model.num_layers} in config.json, "
            f"but the weights lack {count_of(len(absent), 'layer')} (the first is layer {absent[0]})",
            _HINT,
        )
    if stored.decoder_bytes > (1 + share) * sum(sizes):
        raise BadInput(
            f"{shown(folder)}: the layers have {format_bytes(stored.decoder_bytes, 2)} of weights, "
            f"{stored.decoder_bytes / sum(sizes) - 1:.0%} more than config.json describes "
            f"({format_bytes(sum(sizes), 2)})",
            _HINT,
        )


def _check_total(folder: Path, model: ModelSpec, stored: Stored, least: float, most: float) -> None:
    ratio = stored.size_bytes / max(1, model.weights_bytes)
    if least <= ratio <= most:
        return
    where = "metadata.total_size of the index is" if stored.source == "index" else "the weights take"
    share = f"{ratio:.3g} times" if ratio > 1 else f"{ratio:.2g} of" if ratio < 0.001 else f"{ratio:.1%} of"
    raise BadInput(
        f"{shown(folder)}: {where} {format_bytes(stored.size_bytes, 2)}, "
        f"{share} the {format_bytes(model.weights_bytes, 2)} that config.json describes",
        _HINT,
    )
