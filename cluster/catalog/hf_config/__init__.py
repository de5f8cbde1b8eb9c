"""Read any Hugging Face config.json without running its code."""

from __future__ import annotations

from cluster.catalog.hf_config.read_model import model_from_config

__all__ = ["model_from_config"]
