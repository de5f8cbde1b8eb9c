"""The catalog's data files of models, one per hub id; entries with identical configs store one of them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from cluster.catalog.typed_table import TableError

FOLDER = Path(__file__).parent
"""Holds `<org>--<name>.json` for each model, and aliases.json."""


@cache
def model_files() -> dict[str, Path]:
    """Return the data file of each hub id; lists the folder and opens no file."""
    return {path.stem.replace("--", "/", 1): path for path in FOLDER.glob("*.json") if "--" in path.stem}


def model_names() -> tuple[str, ...]:
    """Return the hub id of every model in the catalog, sorted."""
    return tuple(sorted(model_files(), key=str.lower))


def read_entry(name: str) -> dict[str, Any]:
    """Return the entry of a hub id: `name`, `source`, `config`, and `published` where counts are published.

    An entry with the config of another model names that model under `same_config_as`; its config is filled in
    here. Raises TableError for an entry that has neither of the two, or both, or names a model that has no
    config of its own.
    """
    entry = _read(name)
    same_as = entry.get("same_config_as")
    if (same_as is None) == ("config" not in entry):
        raise _broken(name, "needs either config or same_config_as")
    if same_as is None:
        return entry
    return {**entry, "config": _shared_config(name, same_as)}


def _shared_config(name: str, same_as: object) -> Any:
    if not isinstance(same_as, str) or same_as not in model_files():
        raise _broken(name, f"same_config_as is {same_as!r}, which is not in the catalog")
    # One step only: a chain of references could be circular, and a reader would have to follow it.
    other = _read(same_as)
    if "config" not in other:
        raise _broken(name, f"same_config_as is {same_as!r}, which has no config of its own")
    return other["config"]


def _read(name: str) -> dict[str, Any]:
    try:
        entry = json.loads(model_files()[name].read_text(encoding="utf-8"))
    except ValueError as error:
        raise _broken(name, f"not JSON: {error}") from error
    if not isinstance(entry, dict):
        raise _broken(name, "expected an object")
    return entry


def _broken(name: str, complaint: str) -> TableError:
    return TableError(f"models/{name.replace('/', '--', 1)}.json: {complaint}")
