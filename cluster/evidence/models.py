"""Which model a row of the evidence means."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from cluster.catalog.hf_config.model import model_from_config
from cluster.catalog.model_spec import ModelSpec
from cluster.catalog.models.catalogue import resolve
from cluster.catalog.models.load import load_config
from cluster.errors import ClusterviewError
from cluster.evidence.rows import Row, read_aliases, read_rows


class EvidenceModels:
    """Models by the names the evidence uses: alias file, then catalogue, then the evidence's own configs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[tuple[str, str | None], ModelSpec | None] = {}

    @cached_property
    def _aliases(self) -> Row:
        return dict(read_aliases(self._folder).get("models", {}))

    @cached_property
    def _configs(self) -> dict[str, Row]:
        return {row["model"]: row["config"] for row in read_rows(self._folder, "model_configs.jsonl")}

    def find_row(self, row: Row, dtype: str | None = None) -> ModelSpec | None:
        """Return the model of a row: by name and quantisation where the alias file knows both together."""
        name = row.get("model")
        for quantization in (row.get("quant"), row.get("dtype_quant")):
            if f"{name} {quantization}" in self._aliases:
                return self.find(f"{name} {quantization}", dtype)
        return self.find(name, dtype)

    def find(self, name: str | None, dtype: str | None = None) -> ModelSpec | None:
        """Return the model, or None where the evidence does not say enough to know it."""
        if not name:
            return None
        if (name, dtype) not in self._known:
            self._known[name, dtype] = self._read(name, dtype)
        return self._known[name, dtype]

    def _read(self, name: str, dtype: str | None) -> ModelSpec | None:
        alias = self._aliases.get(name, {"config": name})
        if "same_as" in alias:
            return self.find(alias["same_as"], dtype)
        config = alias.get("fields") or self._config(alias.get("config", ""))
        if config is None:
            return None
        try:
            return model_from_config(expanded({**config, **alias.get("patch", {})}), name, "evidence", dtype)
        except ClusterviewError:
            return None

    def _config(self, name: str) -> Row | None:
        if not name:
            return None
        if resolve(name) == name:
            return load_config(name)
        return self._configs.get(name)


def expanded(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config whose shortened lists ('...' at their end) are repeated to the number of layers."""
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
