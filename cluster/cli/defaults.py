"""Defaults: models, the simulated cluster, the example questions."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("defaults.toml")


@dataclass(frozen=True, slots=True)
class Defaults:
    """Read from defaults.toml."""

    models: tuple[str, ...]
    """From large to small."""
    simulated_cluster: str
    examples: tuple[tuple[str, str], ...]
    """(model, cluster) of the questions that the explanation answers."""


@cache
def read_defaults() -> Defaults:
    """Read the defaults that lie beside this module."""
    table = tomllib.loads(_FILE.read_text("utf-8"))
    examples = tuple((item["model"], item["cluster"]) for item in table["examples"])
    return Defaults(tuple(table["models"]), table["simulated_cluster"], examples)
