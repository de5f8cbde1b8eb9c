"""The catalog's data files of models: each loads, names its source, and has plausible figures."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.catalog.model_spec import ModelSpec
from cluster.catalog.models import entries, load_model, model_names
from cluster.catalog.models.entries import model_files, read_entry
from cluster.catalog.typed_table import TableError
from tests.cluster.catalog.published import is_within, stated_figure

NAMES = model_names()
NUM_MODELS = 519


def test_no_model_is_lost() -> None:
    assert len(NAMES) >= NUM_MODELS


def faults_of(name: str) -> list[str]:
    """Return what is wrong with an entry and with the model that is read from it."""
    entry, model = read_entry(name), load_model(name)
    checks = {
        "it is stored under another name": entry["name"] == name,
        "it names no source": len(entry["source"]) > 10,
        "its architecture is not known": model.known_architecture,
        "the model has another source": model.source == entry["source"],
        "the number of parameters is out of range": 1e8 < model.parameters < 4e12,
        "more parameters are active than there are": 0 < model.active_parameters <= model.parameters,
        # Two bytes per element at most, half a byte and scales at least.
        "the bytes per parameter are out of range": 0.5 < model.weights_bytes / model.parameters <= 2.01,
        "the context length is out of range": 512 <= model.max_position <= 2**24,
        "KV heads do not divide the heads": model.num_attention_heads % model.num_kv_heads == 0,
        "the hidden size is not a multiple of 8": model.hidden_size % 8 == 0,
    }
    return [f"{name}: {fault}" for fault, holds in checks.items() if not holds]


def test_every_entry_loads_and_is_sane() -> None:
    assert [fault for name in NAMES for fault in faults_of(name)] == []


def test_no_config_is_stored_twice() -> None:
    by_config: dict[str, list[str]] = defaultdict(list)
    for name, path in model_files().items():
        config = json.loads(path.read_text(encoding="utf-8")).get("config")
        if config is not None:
            by_config[json.dumps(config, sort_keys=True)].append(name)
    assert [names for names in by_config.values() if len(names) > 1] == []


def test_models_with_the_same_config_differ_in_name_and_source_only() -> None:
    plain, instruct = read_entry("meta-llama/Llama-3.1-8B"), read_entry("meta-llama/Llama-3.1-8B-Instruct")
    assert instruct["same_config_as"] == plain["name"]
    assert instruct["config"] == plain["config"]
    assert instruct["source"] != plain["source"]
    model = load_model(plain["name"])
    assert replace(model, name=instruct["name"], source=instruct["source"]) == load_model(instruct["name"])


@pytest.mark.parametrize(
    ("stored", "complaint"),
    [
        ({"same_config_as": "a/absent"}, "same_config_as is 'a/absent', which is not in the catalog"),
        ({"same_config_as": "a/wrong"}, "same_config_as is 'a/wrong', which has no config of its own"),
        ({"same_config_as": "a/circle"}, "same_config_as is 'a/circle', which has no config of its own"),
        ({"same_config_as": ["a/plain"]}, "same_config_as is ['a/plain'], which is not in the catalog"),
        ({"same_config_as": "a/plain", "config": {}}, "needs either config or same_config_as"),
        ({}, "needs either config or same_config_as"),
    ],
)
def test_a_wrong_reference_is_one_line_with_the_file(
    stored: dict[str, Any], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"a/plain": {"config": {"x": 1}}, "a/circle": {"same_config_as": "a/wrong"}, "a/wrong": stored}
    paths = {name: tmp_path / f"{number}.json" for number, name in enumerate(files)}
    for name, path in paths.items():
        path.write_text(json.dumps({"name": name, "source": "-", **files[name]}))
    monkeypatch.setattr(entries, "model_files", lambda: paths)
    with pytest.raises(TableError) as caught:
        read_entry("a/wrong")
    assert caught.value.message == f"models/a--wrong.json: {complaint}"
    assert caught.value.exit_status == 4


def test_published_totals_are_met() -> None:
    """A total is met when it is within one unit of the last digit that the source gives."""
    published = [(name, item) for name in NAMES for item in read_entry(name).get("published", [])]
    assert len(published) >= 41
    assert [
        f"{name}: {load_model(name).parameters:,} is not {item['total']}"
        for name, item in published
        if not is_within(load_model(name).parameters, item["total"])
    ] == []


def test_published_active_counts_are_met() -> None:
    """Some vendors leave the token embedding out of the active parameters, some the head or the tower too."""
    stated = [(name, item["active"]) for name in NAMES for item in read_entry(name).get("published", [])]
    counted = [(name, active) for name, active in stated if active and stated_figure(active)]
    assert len(counted) >= 40
    assert [
        f"{name}: none of {active_counts(load_model(name))} is {active}"
        for name, active in counted
        if not any(is_within(count, active) for count in active_counts(load_model(name)))
    ] == []


def active_counts(model: ModelSpec) -> list[int]:
    """Return the active parameters by each way of counting, the most inclusive one first."""
    tower = sum(tensor.parameters for tensor in model.vision.tensors) if model.vision else 0
    head = model.head.parameters if model.head else 0
    counts = [model.active_parameters, model.active_parameters - model.embedding.parameters]
    counts.append(counts[-1] - head)
    return counts + [count - tower for count in counts]


@pytest.mark.parametrize(
    ("count", "text", "met"),
    [
        (32_762_123_264, "32B", True),
        (33_100_000_000, "32B", False),
        (1_235_814_400, "1.23B", True),
        (1_245_814_400, "1.23B", False),
        (116_829_156_672, "120B", True),
        (1_026_408_232_448, "1T", True),
        (1_120_000_000_000, "1T", False),
        (494_032_768, "494032768 (exact, safetensors)", True),
        (494_032_800, "494032768 (exact, safetensors)", False),
    ],
)
def test_the_digits_given_set_the_tolerance(count: int, text: str, met: bool) -> None:
    assert is_within(count, text) is met


def test_a_figure_that_is_no_count_is_not_read() -> None:
    assert stated_figure("16 experts/token + shared (of 896 routed)") is None
