"""Every config of the evidence, partial copies included: read without a crash, and of the published size."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cluster.catalog.hf_config import model_from_config
from cluster.catalog.models import load_model
from cluster.errors import BadInput

CONFIGS = Path(__file__).parents[2] / "evidence" / "data" / "model_configs.jsonl"
ROWS: list[dict[str, Any]] = [json.loads(line) for line in CONFIGS.read_text().splitlines()]
_SCALES = {"T": 1e12, "B": 1e9, "M": 1e6}
# The copy lacks what decides these: layer kinds, number of layers, widths, vocabulary.
_INCOMPLETE = re.compile("has no (num_hidden_layers|vocab_size|intermediate_size)")


def published(row: dict[str, Any]) -> list[float]:
    """Total parameters as the row's sources state them, those given to three figures or more."""
    totals = [str(item["total"]) for item in row.get("published_params") or []]
    matches = [re.match(r"([\d.]+)([TBM])$", total) for total in totals]
    exact = [float(total.split()[0]) for total in totals if re.match(r"\d{6,}", total)]
    return exact + [float(m[1]) * _SCALES[m[2]] for m in matches if m and len(m[1].replace(".", "")) >= 3]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["model"])
def test_every_config_is_read_or_refused_as_incomplete(row: dict[str, Any]) -> None:
    try:
        model = model_from_config(row["config"], row["model"], "evidence")
    except BadInput as error:
        assert _INCOMPLETE.search(error.message)
        return
    assert model.parameters > 0
    assert 0 < model.active_parameters <= model.parameters
    assert model.weights_bytes > 0
    assert model.known_architecture or model.notes


@pytest.mark.parametrize("row", [row for row in ROWS if published(row)], ids=lambda row: row["model"])
def test_catalog_entries_have_the_published_size(row: dict[str, Any]) -> None:
    model = load_model(row["model"])
    drafted = sum(tensor.parameters for layer in model.draft_layers for tensor in layer.tensors)
    # Some sources count the draft layers.
    counts = (model.parameters, model.parameters + drafted)
    assert min(abs(count / total - 1) for count in counts for total in published(row)) < 0.01
