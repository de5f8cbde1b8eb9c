"""Which engines can be planned for: those with a file in engines/. Listed without reading the files."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable


def catalog_folder() -> Traversable:
    """Return the folder of the catalog's data files."""
    return resources.files("cluster.catalog")


def engine_names() -> tuple[str, ...]:
    """Return the names of all engines that have a data file, in alphabetical order."""
    names = (file.name for file in (catalog_folder() / "engines").iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))
