"""Models as data files, one a model, and the ways to a ModelSpec: by name, folder or hub id."""

from __future__ import annotations

from cluster.catalog.models.entries import model_names
from cluster.catalog.models.load import load_config, load_model

__all__ = ["load_config", "load_model", "model_names"]
