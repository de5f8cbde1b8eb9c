"""Finds the model that a row of the evidence means."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Any

from cluster.catalog.hf_config.quantization.requested import variant_reading
from cluster.catalog.hf_config.read_model import model_from_config
from cluster.catalog.model_spec import ModelSpec
from cluster.catalog.models.load import load_config
from cluster.catalog.models.names import resolve
from cluster.errors import ClusterviewError
from tests.evidence.rows import OWN_FOLDER, Row, read_aliases, read_rows


class EvidenceModels:
    """Looks names up in the alias file, then in the catalog, then in the evidence's own configs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[tuple[str, str | None, str | None], ModelSpec | None] = {}

    @cached_property
    def _aliases(self) -> Row:
        return dict(read_aliases(self._folder).get("models", {}))

    @cached_property
    def _configs(self) -> dict[str, Row]:
        rows = [
            *read_rows(OWN_FOLDER, "model_configs.jsonl"),
            *read_rows(self._folder, "model_configs.jsonl"),
        ]
        return {row["model"]: row["config"] for row in rows}

    def find_row(self, row: Row, dtype: str | None = None) -> ModelSpec | None:
        """Return the model of a row, by name and quantization if the alias file has that pair."""
        name = row.get("model")
        if isinstance(row.get("config"), dict):
            return _read_config(row["config"], str(name), dtype, row.get("quant"))
        said = str(row.get("quant") or row.get("dtype_quant") or "")
        if f"{name} {said}" in self._aliases:
            return self.find(f"{name} {said}", dtype)
        return self.find(name, dtype, None if name in self._aliases else _method(said))

    def find(
        self, name: str | None, dtype: str | None = None, quantization: str | None = None
    ) -> ModelSpec | None:
        """Return the model, or None if the evidence does not identify it.

        `quantization` applies if the model's own config states none.
        """
        if not name:
            return None
        key = (name, dtype, quantization)
        if key not in self._known:
            self._known[key] = self._read(name, dtype, quantization)
        return self._known[key]

    def _read(self, name: str, dtype: str | None, quantization: str | None) -> ModelSpec | None:
        alias = self._aliases.get(name, {"config": name})
        if "same_as" in alias:
            return self.find(alias["same_as"], dtype)
        config = alias.get("fields") or self._config(alias.get("config", ""))
        if config is None:
            return None
        return _read_config(expanded({**config, **alias.get("patch", {})}), name, dtype, quantization)

    def _config(self, name: str) -> Row | None:
        """Return the catalog's config of a name, else the evidence's own, else that of the bare name."""
        if not name:
            return None
        if resolve(name) == name:
            return load_config(name)
        if name in self._configs:
            return self._configs[name]
        known = resolve(re.sub(r"\(.*?\)", "", name).strip())
        return load_config(known) if known else None


def _read_config(config: Row, name: str, dtype: str | None, quantization: str | None) -> ModelSpec | None:
    """Return the model of a config; `quantization` applies where the config states none."""
    method = None if "quantization_config" in config or "hf_quant_config" in config else quantization
    try:
        return model_from_config(config, name, "evidence", dtype, method)
    except ClusterviewError:
        return None


def _method(said: str) -> str | None:
    """Return the first word of a row's quantization remark that is a known method."""
    for word in said.lower().replace(",", " ").split():
        try:
            variant_reading(word)
        except ClusterviewError:
            continue
        return word
    return None


def expanded(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config with its shortened lists ('...' at the end) repeated to the number of layers."""
    kinds = config.get("layer_types")
    if not isinstance(kinds, list) or "..." not in kinds:
        return config
    shown = [kind for kind in kinds if kind != "..."]
    period = _period(shown)
    number = int(config["num_hidden_layers"])
    repeated = [shown[i % period] for i in range(number)]
    return {**config, "layer_types": repeated}


def _period(kinds: list[str]) -> int:
    for period in range(1, len(kinds)):
        if all(kinds[i] == kinds[i % period] for i in range(len(kinds))):
            return period
    return len(kinds)
