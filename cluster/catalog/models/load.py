"""Load the model that a user named: a catalog name, a folder, a config.json or a hub id."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cluster.catalog.hf_config import model_from_config
from cluster.catalog.model_spec import ModelOrigin, ModelSpec
from cluster.catalog.models.entries import read_entry
from cluster.catalog.models.folder import find_config_file, read_config
from cluster.catalog.models.hub import fetch_config, is_hub_id
from cluster.catalog.models.names import resolve, resolve_variant, unknown
from cluster.catalog.models.weigh_folder import weigh_folder
from cluster.errors import BadInput


@dataclass(frozen=True, slots=True)
class _Found:
    """A config and where it came from; `folder` may hold the checkpoint too."""

    name: str
    source: str
    origin: ModelOrigin
    folder: Path | None = None
    quantization: str | None = None
    """The method that the name itself asks for ('...-AWQ' of a catalog model)."""


def load_model(name_or_path: str, dtype: str | None = None, quantization: str | None = None) -> ModelSpec:
    """Return the model a user named, with dtype and quantization as asked for, and what it was read from.

    Weights are exact where a folder holds the checkpoint, else from the architecture. Raises BadInput for a
    file that cannot be used, UnknownName for a name nobody knows.
    """
    found = _find(name_or_path)
    asked = None if quantization in (None, "", "auto") else quantization
    config = found.origin.config
    model = model_from_config(config, found.name, found.source, dtype, asked or found.quantization)
    model = replace(model, origin=found.origin)
    if model.quantization is not None and not _states_quantization(config):
        # A variant planned on paper weighs what its formats say, not what lies on disk.
        on_request = asked is not None and found.quantization is None
        return replace(model, quantization=replace(model.quantization, on_request=on_request))
    return model if found.folder is None else weigh_folder(model, found.folder, config)


def _states_quantization(config: Mapping[str, Any]) -> bool:
    sections = [config, *(value for value in config.values() if isinstance(value, dict))]
    return any("quantization_config" in section or "hf_quant_config" in section for section in sections)


def load_config(name_or_path: str) -> dict[str, Any]:
    """Return the raw config of the model a user named, as Hugging Face writes it."""
    return dict(_find(name_or_path).origin.config)


def _find(name_or_path: str) -> _Found:
    if not name_or_path.strip():
        raise BadInput("No model given", "Give a catalog name, a hub id, a folder or a config.json")
    path = find_config_file(name_or_path)
    if path is not None:
        return _on_disk(path, name_or_path)
    known = resolve(name_or_path)
    if known is not None:
        entry = read_entry(known)
        return _named(entry["name"], entry["source"], name_or_path, entry["config"])
    variant = resolve_variant(name_or_path)
    if variant is not None:
        entry = read_entry(variant.base)
        source = f"{entry['source']}; planned as its {variant.method} variant"
        return _named(name_or_path, source, name_or_path, entry["config"], quantization=variant.method)
    if not is_hub_id(name_or_path):
        raise unknown(name_or_path)
    fetched = fetch_config(name_or_path)
    source = f"config.json of {name_or_path} on the hub"
    return _named(name_or_path, source, name_or_path, read_config(fetched), folder=fetched.parent)


def _named(name: str, source: str, reference: str, config: Mapping[str, Any], **more: Any) -> _Found:
    hub_id = name if is_hub_id(name) else None
    return _Found(name, source, ModelOrigin(reference, config, hub_id=hub_id), **more)


def _on_disk(path: Path, reference: str) -> _Found:
    if path.name != "config.json":
        # A config under another name may lie beside the weights of any model.
        origin = ModelOrigin(reference, read_config(path), config_file=path.name)
        return _Found(path.stem, str(path), origin)
    folder = path.parent
    origin = ModelOrigin(
        reference,
        read_config(path),
        folder=os.path.abspath(folder),  # noqa: PTH100 (links stay as they are: nodes may have others)
        has_weights=any(folder.glob("*.safetensors")),
    )
    return _Found(path.resolve().parent.name, str(path), origin, folder)
