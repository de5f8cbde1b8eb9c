"""Turn what a user named into a ModelSpec: catalogue id, folder, config.json, or hub id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cluster.catalog.hf_config import model_from_config
from cluster.catalog.model_spec import ModelSpec
from cluster.catalog.models.catalogue import read_entry, resolve, unknown
from cluster.catalog.models.folder import find_config_file, read_config


def load_model(name_or_path: str, dtype: str | None = None, quantization: str | None = None) -> ModelSpec:
    """Return the model a user named, with dtype and quantisation as asked for.

    Raises BadInput for a file that cannot be used, UnknownName for a name nobody knows.
    """
    path = find_config_file(name_or_path)
    if path is not None:
        return model_from_config(read_config(path), name_or_path, str(path), dtype, quantization)
    name, config, source = _named_config(name_or_path)
    return model_from_config(config, name, source, dtype, quantization)


def load_config(name_or_path: str) -> dict[str, Any]:
    """Return the raw config of the model a user named, as Hugging Face writes it."""
    path = find_config_file(name_or_path)
    return read_config(path) if path is not None else _named_config(name_or_path)[1]


def _named_config(name: str) -> tuple[str, dict[str, Any], str]:
    found = resolve(name)
    if found is None:
        raise unknown(name)
    entry = read_entry(found)
    return entry["name"], entry["config"], entry["source"]


def is_local(name_or_path: str) -> bool:
    """Whether the user named something on disk."""
    return find_config_file(name_or_path) is not None or Path(name_or_path).exists()
