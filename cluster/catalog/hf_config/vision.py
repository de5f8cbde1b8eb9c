"""Size a vision tower from its own section of the config."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.hf_config.layers.extras import extra_tensors
from cluster.catalog.hf_config.layers.tensor_builder import TensorBuilder
from cluster.catalog.hf_config.quantization.scheme import Scheme
from cluster.catalog.model_spec import Split, Tensor, Vision

_DATA = Path(__file__).with_name("towers.toml")
_GENERIC_NOTE = "Unknown kind of vision tower: sized as a plain transformer"


@cache
def _towers() -> dict[str, dict[str, Any]]:
    return tomllib.loads(_DATA.read_text(encoding="utf-8"))


def vision_tower(
    tower: Fields | None, text: Fields, top_type: str, scheme: Scheme
) -> tuple[Vision | None, tuple[str, ...]]:
    """Return the tower next to the language model and notes on it; None when the config has none.

    Towers stay in the plain dtype: the usual quantizations skip them.
    """
    if tower is None:
        return None, ()
    own_type = tower.text("model_type")
    kind = next((name for name in (own_type, top_type) if name in _towers()), "")
    described = _resolve(kind)
    fields = Fields({**tower.values, **_sizes(tower, text, described)}, tower.where, described["defaults"])
    if not fields.has("hidden_size") or not fields.has("num_hidden_layers"):
        return None, ("The config's vision section has no sizes: the tower is not counted",)
    builder = TensorBuilder(Scheme(scheme.base))
    blocks = _block(fields, builder, described)
    tensors = [
        *blocks * fields.integer("num_hidden_layers"),
        *extra_tensors(fields, builder, described["extras"]),
    ]
    heads = fields.integer("num_attention_heads", 16)
    items = int(described.get("item_tokens", 0))
    vision = Vision(
        tuple(tensors),
        heads,
        items,
        fields.integer("merged_size") if items else 0,
        video_elements=_video_elements(fields, text, described),
        divides_heads=bool(described.get("divides_heads", False)),
    )
    return vision, () if kind else (_GENERIC_NOTE,)


def _video_elements(fields: Fields, text: Fields, described: Mapping[str, Any]) -> int:
    # Towers that feed several layers of the decoder put out their tokens once for each.
    outputs = 1 + fields.integer("num_deepstack", 0, low=0)
    return int(described.get("video_tokens", 0)) * outputs * text.integer("hidden_size")


def with_audio(vision: Vision | None, audio: Fields | None, text: Fields, scheme: Scheme) -> Vision | None:
    """Return the tower with an audio encoder beside it, where the encoder is of a described kind."""
    if audio is None or audio.text("model_type") not in _towers():
        return vision
    heard, _ = vision_tower(audio, text, "", scheme)
    if heard is None:
        return vision
    seen = vision or Vision((), heard.num_heads)
    return replace(seen, tensors=(*seen.tensors, *heard.tensors))


def left_out(audio: Fields | None, text: Fields) -> tuple[str, ...]:
    """Return notes on encoders of the config that are not counted."""
    notes = []
    if audio is not None and audio.text("model_type") not in _towers():
        notes.append("Unknown kind of audio encoder: not counted")
    if text.flag("is_encoder_decoder"):
        notes.append("The encoder is not counted: planned as the decoder alone")
    return tuple(notes)


def _resolve(kind: str) -> dict[str, Any]:
    described = dict(_towers()[kind or "generic"])
    parent = described.pop("extends", None)
    if parent:
        inherited = _resolve(parent)
        described["defaults"] = {**inherited["defaults"], **described.get("defaults", {})}
        described = {**inherited, **described}
    return {"defaults": {}, "extras": [], "fields": {}, **described}


def _sizes(tower: Fields, text: Fields, described: Mapping[str, Any]) -> dict[str, int]:
    """Return what the descriptions compute with: the text model's width, patches, merged width."""
    with_defaults = Fields(tower.values, tower.where, described["defaults"])
    names = described["fields"]
    sizes = {"text_hidden_size": text.integer("hidden_size")}
    for name, spelling in names.items():
        if with_defaults.has(spelling):
            sizes[name] = with_defaults.integer(spelling)
    patch, image = with_defaults.integer("patch_size", 14), with_defaults.integer("image_size", 224)
    width = sizes.get("hidden_size") or with_defaults.integer("hidden_size", 0, low=0)
    merge = with_defaults.integer("spatial_merge_size", 2)
    return {**sizes, "patches": (image // patch) ** 2, "merged_size": merge * merge * width}


def _block(fields: Fields, builder: TensorBuilder, described: Mapping[str, Any]) -> list[Tensor]:
    width = fields.integer("hidden_size")
    inner = fields.integer("intermediate_size", round(width * fields.number("mlp_ratio", 4.0, 0.1, 64.0)))
    bias, norm = described.get("bias", True), described.get("norm", "layer_bias")
    gated = described.get("gated", False)
    mlp_bias = described.get("mlp_bias", bias)
    tensors = builder.linear("attn.qkv", 3 * width, width, Split.HEADS, bias=bias)
    tensors += builder.linear("attn.proj", width, width, Split.HEADS_IN, bias=described.get("out_bias", bias))
    tensors += builder.linear("mlp.up", inner * (2 if gated else 1), width, Split.COLUMN, bias=mlp_bias)
    tensors += builder.linear("mlp.down", width, inner, Split.ROW, bias=mlp_bias)
    for name in ("norm1", "norm2"):
        tensors += builder.norm(name, width, norm)
    return tensors + [builder.vector("scale", width) for _ in range(described.get("scales", 0))]
