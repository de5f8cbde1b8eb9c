"""A loaded model carries what it was read from, so that nothing looks it up again."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from cluster.catalog.models import load_config, load_model, model_names
from tests.cluster.catalog.test_folder import LLAMA, folder, whole, write_header


def test_a_catalog_model_keeps_its_config_and_its_hub_id() -> None:
    origin = load_model("llama-3.1-8b-instruct").origin
    assert origin is not None
    assert (origin.reference, origin.hub_id) == ("llama-3.1-8b-instruct", "meta-llama/Llama-3.1-8B-Instruct")
    assert origin.config == load_config("meta-llama/Llama-3.1-8B-Instruct")
    assert (origin.folder, origin.config_file, origin.has_weights) == (None, None, False)


def test_a_folder_is_kept_as_an_absolute_path_with_whether_it_has_weights(tmp_path: Path) -> None:
    folder(tmp_path)
    origin = load_model(str(tmp_path)).origin
    assert origin is not None and (origin.folder, origin.has_weights) == (str(tmp_path), False)
    write_header(tmp_path / "model.safetensors", whole())
    for named in (tmp_path, tmp_path / "config.json"):
        origin = load_model(str(named)).origin
        assert origin is not None and origin.reference == str(named)
        assert (origin.folder, origin.has_weights, origin.hub_id) == (str(tmp_path), True, None)
        assert origin.config == LLAMA


def test_a_relative_path_still_means_the_same_folder_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    folder(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    origin = load_model("mine").origin
    assert origin is not None and origin.folder == str(tmp_path / "mine")


def test_a_lone_config_belongs_to_no_weights_beside_it(tmp_path: Path) -> None:
    write_header(tmp_path / "model.safetensors", whole())
    lone = tmp_path / "Llama-3.1-8B-Instruct.json"
    lone.write_text(json.dumps(LLAMA))
    model = load_model(str(lone))
    assert model.name == "Llama-3.1-8B-Instruct" and model.origin is not None
    assert (model.origin.folder, model.origin.config_file) == (None, lone.name)
    assert (model.origin.hub_id, model.origin.has_weights, model.origin.config) == (None, False, LLAMA)


def test_a_variant_on_paper_has_the_config_it_was_planned_from() -> None:
    model = load_model("llama-3.1-8b-awq")
    assert model.origin is not None and model.origin.hub_id is None
    assert "quantization_config" not in model.origin.config


def test_the_origin_adds_little_to_what_travels_from_the_planning_process() -> None:
    """A plan is pickled for the screen; configs are small beside it, those with long lists included."""
    sizes = {name: len(pickle.dumps(load_model(name).origin)) for name in model_names()[::10]}
    assert max(sizes.values()) < 100_000
