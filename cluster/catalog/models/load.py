"""Load the model that a user named: a catalog name, a folder, a config.json or a hub id."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cluster.catalog.hf_config import model_from_config
from cluster.catalog.model_spec import ModelSpec
from cluster.catalog.models.entries import read_entry
from cluster.catalog.models.folder import find_config_file, read_config
from cluster.catalog.models.hub import fetch_config, is_hub_id
from cluster.catalog.models.names import resolve, resolve_variant, unknown
from cluster.catalog.models.weigh_folder import weigh_folder
from cluster.errors import BadInput


@dataclass(frozen=True)
class _Found:
    """A config and where it came from; `folder` may hold the checkpoint too."""

    name: str
    config: dict[str, Any]
    source: str
    folder: Path | None = None
    quantization: str | None = None
    """The method that the name itself asks for ('...-AWQ' of a catalog model)."""


def load_model(name_or_path: str, dtype: str | None = None, quantization: str | None = None) -> ModelSpec:
    """Return the model a user named, with dtype and quantization as asked for.

    Weights are exact where a folder holds the checkpoint, else from the architecture. Raises BadInput for a
    file that cannot be used, UnknownName for a name nobody knows.
    """
    found = _find(name_or_path)
    asked = None if quantization in (None, "", "auto") else quantization
    model = model_from_config(found.config, found.name, found.source, dtype, asked or found.quantization)
    if model.quantization is not None and not _states_quantization(found.config):
        # A variant planned on paper weighs what its formats say, not what lies on disk.
        on_request = asked is not None and found.quantization is None
        return replace(model, quantization=replace(model.quantization, on_request=on_request))
    return model if found.folder is None else weigh_folder(model, found.folder, found.config)


def _states_quantization(config: dict[str, Any]) -> bool:
    sections = [config, *(value for value in config.values() if isinstance(value, dict))]
    return any("quantization_config" in section or "hf_quant_config" in section for section in sections)


def load_config(name_or_path: str) -> dict[str, Any]:
    """Return the raw config of the model a user named, as Hugging Face writes it."""
    return _find(name_or_path).config


def _find(name_or_path: str) -> _Found:
    if not name_or_path.strip():
        raise BadInput("No model given", "Give a catalog name, a hub id, a folder or a config.json")
    path = find_config_file(name_or_path)
    if path is not None:
        name = path.resolve().parent.name if path.name == "config.json" else path.stem
        # A config under another name may lie beside the weights of any model.
        folder = path.parent if path.name == "config.json" else None
        return _Found(name, read_config(path), str(path), folder)
    known = resolve(name_or_path)
    if known is not None:
        entry = read_entry(known)
        return _Found(entry["name"], entry["config"], entry["source"])
    variant = resolve_variant(name_or_path)
    if variant is not None:
        entry = read_entry(variant.base)
        source = f"{entry['source']}; planned as its {variant.method} variant"
        return _Found(name_or_path, entry["config"], source, quantization=variant.method)
    if not is_hub_id(name_or_path):
        raise unknown(name_or_path)
    fetched = fetch_config(name_or_path)
    return _Found(
        name_or_path, read_config(fetched), f"config.json of {name_or_path} on the hub", fetched.parent
    )
