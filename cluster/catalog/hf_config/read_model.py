"""Read a Hugging Face config.json (as a dict) into a ModelSpec. Pure: no files, no network, no model code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cluster.catalog.hf_config.families import Family
from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.hf_config.layer_plans import layer_plans
from cluster.catalog.hf_config.layers.attention import is_on
from cluster.catalog.hf_config.layers.draft import draft_layers
from cluster.catalog.hf_config.layers.extras import extra_tensors
from cluster.catalog.hf_config.layers.layer_factory import LayerFactory
from cluster.catalog.hf_config.layers.rotary import rope_type, rotary_bytes
from cluster.catalog.hf_config.layers.tensor_builder import TensorBuilder
from cluster.catalog.hf_config.quantization.formats import plain_dtype, require_dtype
from cluster.catalog.hf_config.quantization.read_scheme import read_scheme
from cluster.catalog.hf_config.quantization.scheme import Scheme
from cluster.catalog.hf_config.totals import with_totals
from cluster.catalog.hf_config.unwrap import unwrap
from cluster.catalog.hf_config.vision import left_out, vision_tower, with_audio
from cluster.catalog.model_spec import Attention, AttentionKind, Layer, ModelSpec, Split, Tensor
from cluster.errors import BadInput
from cluster.text import clean

_ATTENDING = frozenset(AttentionKind) - {AttentionKind.STATE, AttentionKind.NONE}
_UNKNOWN = "Unknown architecture {name}: planned from its sizes alone, expect a larger error"


def model_from_config(
    config: Mapping[str, Any],
    name: str,
    source: str,
    dtype: str | None = None,
    quantization: str | None = None,
) -> ModelSpec:
    """Return the model a config describes; raises BadInput naming the field that cannot be used."""
    if not isinstance(config, Mapping):
        raise BadInput(f"{source} is not a JSON object", "A config.json is one object")
    name, source = clean(name), clean(source)
    parts = unwrap(config, source)
    compute = _compute_dtype(parts.fields, dtype)
    scheme = read_scheme(parts.fields, compute, quantization)
    model = _decoder(parts.fields, parts.family, scheme, name, compute)
    tower, notes = vision_tower(parts.tower, parts.fields, parts.top_type, scheme)
    tower = with_audio(tower, parts.audio, parts.fields, scheme)
    missing = left_out(None if parts.family.counts_audio else parts.audio, parts.fields)
    unknown = () if parts.family.known else (_UNKNOWN.format(name=parts.architecture or "(not named)"),)
    return with_totals(
        replace(
            model,
            architecture=parts.architecture,
            source=source,
            vision=tower,
            known_architecture=model.known_architecture and not missing,
            notes=(*unknown, *model.notes, *scheme.notes, *notes, *missing),
        )
    )


def _compute_dtype(fields: Fields, wanted: str | None) -> str:
    if wanted is not None and wanted != "auto":
        return require_dtype(wanted)
    # Engines load float32 checkpoints in 16 bits unless told otherwise.
    return "fp16" if plain_dtype(fields.text("dtype", "bfloat16")) == "fp16" else "bf16"


def _decoder(fields: Fields, family: Family, scheme: Scheme, name: str, compute: str) -> ModelSpec:
    plans, notes = layer_plans(fields, family)
    if not plans:
        raise BadInput(f"{fields.where} describes no layers", "num_hidden_layers must be at least 1")
    factory = LayerFactory(fields, family, scheme)
    layers = tuple(factory.layer(i, plan) for i, plan in enumerate(plans))
    heads = _attention_of(layers)
    builder = TensorBuilder(scheme)
    hidden, vocab = fields.integer("hidden_size"), fields.integer("vocab_size")
    tied = fields.flag("tie_word_embeddings", family.tied)
    # Where nothing is stated; configs write 0 for no window.
    longest = fields.integer("sliding_window", 0, low=0) or 2048
    max_position = fields.integer("max_position_embeddings", longest)
    norm = builder.norm("norm", hidden, family.norm) if family.final_norm else []
    head_bias = (
        [builder.vector("lm_head.bias", vocab, Split.VOCAB)] if is_on(fields, family.head_bias) else []
    )
    return ModelSpec(
        name=name,
        architecture="",
        source="",
        known_architecture=family.known and not notes,
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
        embedding=Tensor("embed_tokens", vocab, hidden, Split.VOCAB, scheme.table_format("embed_tokens")),
        head=None if tied else Tensor("lm_head", vocab, hidden, Split.VOCAB, scheme.table_format("lm_head")),
        front=tuple(extra_tensors(fields, builder, family.front)),
        final=(*norm, *head_bias, *extra_tensors(fields, builder, family.final_extras)),
        quantization=scheme.quantization,
        draft_layers=draft_layers(fields, factory, plans),
        buffer_bytes=rotary_bytes(fields, layers, max_position) if family.rotary else 0,
        rope_type=rope_type(fields),
        supports_pp=family.supports_pp,
        notes=tuple(notes),
    )


def _attention_of(layers: tuple[Layer, ...]) -> Attention:
    """Return the attention whose heads bound a split: the one with the fewest KV heads."""
    attending = [layer.attention for layer in layers if layer.attention.kind in _ATTENDING]
    if not attending:
        return layers[0].attention
    return min(attending, key=lambda attention: (attention.num_kv_heads, attention.num_heads))
