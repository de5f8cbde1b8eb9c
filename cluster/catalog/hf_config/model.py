"""Read a Hugging Face config.json (as a dict) into a ModelSpec. Pure: no files, no network, no code from the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cluster.catalog.hf_config.builder import TensorBuilder
from cluster.catalog.hf_config.families import Family, find_family
from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.hf_config.formats import PLAIN, plain_dtype, require_dtype
from cluster.catalog.hf_config.layers import LayerFactory
from cluster.catalog.hf_config.pattern import feed_forward_kinds, mixer_kinds
from cluster.catalog.hf_config.scheme import Scheme
from cluster.catalog.hf_config.totals import (
    active_parameters,
    count_layers,
    outer_tensors,
    parameters,
    size_bytes,
)
from cluster.catalog.model_spec import ModelSpec, Split, Tensor
from cluster.errors import BadInput


def model_from_config(
    config: Mapping[str, Any],
    name: str,
    source: str,
    dtype: str | None = None,
    quantization: str | None = None,
) -> ModelSpec:
    """Return the model a config describes; raises BadInput naming the field that cannot be used."""
    if not isinstance(config, Mapping):
        raise BadInput(
            f"{source} is not a JSON object", "A config.json holds one object with the model's fields"
        )
    text = dict(config)
    family = find_family(str(text.get("model_type", "")), _architecture(text))
    fields = Fields(text, source, family.defaults)
    compute = _compute_dtype(fields, dtype)
    scheme = Scheme(PLAIN[compute])
    return with_totals(_assemble(fields, family, scheme, name, source, compute))


def _architecture(config: Mapping[str, Any]) -> str:
    listed = config.get("architectures")
    return listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], str) else ""


def _compute_dtype(fields: Fields, wanted: str | None) -> str:
    if wanted is not None and wanted != "auto":
        return require_dtype(wanted)
    # Engines load float32 checkpoints in 16 bits unless told otherwise.
    stated = plain_dtype(fields.text("dtype", "bfloat16"))
    return "fp16" if stated == "fp16" else "bf16"


def _assemble(
    fields: Fields, family: Family, scheme: Scheme, name: str, source: str, compute: str
) -> ModelSpec:
    count, hidden = fields.integer("num_hidden_layers"), fields.integer("hidden_size")
    vocab = fields.integer("vocab_size")
    factory = LayerFactory(fields, family, scheme)
    mixers, note = mixer_kinds(fields, family, count)
    kinds = zip(mixers, feed_forward_kinds(fields, count), strict=True)
    layers = tuple(factory.layer(i, mixer, part) for i, (mixer, part) in enumerate(kinds))
    builder = TensorBuilder(scheme)
    heads = next((layer.attention for layer in layers if layer.attention.num_heads), layers[0].attention)
    tied = fields.flag("tie_word_embeddings", family.tied)
    max_position = fields.integer("max_position_embeddings", 4096)
    return ModelSpec(
        name=name,
        architecture=_architecture(fields.values) or family.model_type,
        source=source,
        known_architecture=family.known,
        dtype=compute,
        hidden_size=hidden,
        num_attention_heads=heads.num_heads,
        num_kv_heads=heads.num_kv_heads,
        head_dim=heads.head_dim,
        intermediate_size=max(layer.intermediate_size for layer in layers),
        vocab_size=vocab,
        max_position=max_position,
        tied_embeddings=tied,
        layers=layers,
        embedding=Tensor("embed_tokens", vocab, hidden, Split.VOCAB, scheme.base),
        head=None if tied else Tensor("lm_head", vocab, hidden, Split.VOCAB, scheme.base),
        final=tuple(builder.norm("norm", hidden, family.norm)),
        buffer_bytes=max_position * heads.head_dim * 2 if family.rotary else 0,
        notes=(note,) if note else (),
    )


def with_totals(model: ModelSpec) -> ModelSpec:
    """Return `model` with its sums filled in."""
    outer = outer_tensors(model)
    distinct = count_layers(model.layers).items()
    return replace(
        model,
        parameters=parameters(outer) + sum(parameters(layer.tensors) * n for layer, n in distinct),
        active_parameters=active_parameters(outer)
        + sum(active_parameters(layer.tensors) * n for layer, n in distinct),
        weights_bytes=size_bytes(outer) + sum(size_bytes(layer.tensors) * n for layer, n in distinct),
    )
