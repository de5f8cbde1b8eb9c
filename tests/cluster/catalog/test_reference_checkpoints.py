"""Checkpoints with the tensors of transformers' own classes are accepted as what their config describes."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import pytest

from cluster.catalog.models import load_model
from tests.cluster.catalog.configs import EVERY
from tests.cluster.catalog.test_against_transformers import build, transformers

FAMILIES = EVERY[::3]
"""A third of them: each takes a moment to build."""


def saved_tensors(model: Any) -> dict[str, Any]:
    """Return parameters, shared ones once, and the buffers that are saved with them."""
    every_name = dict(model.named_parameters(remove_duplicate=False))
    buffers = {name: tensor for name, tensor in model.state_dict().items() if name not in every_name}
    return dict(model.named_parameters()) | buffers


def write_checkpoint(folder: Path, config: dict[str, Any]) -> int:
    """Write a folder with what the reference would save, its data left sparse; return its bytes."""
    header: dict[str, Any] = {}
    end = 0
    for name, tensor in saved_tensors(build(config)).items():
        size = 2 * math.prod(tensor.shape)
        header[name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    (folder / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}))
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    return end


@pytest.mark.parametrize("config", FAMILIES, ids=lambda config: config["model_type"])
def test_a_checkpoint_of_the_reference_is_accepted(config: dict[str, Any], tmp_path: Path) -> None:
    if config["model_type"] not in transformers.CONFIG_MAPPING:
        pytest.skip(f"this transformers has no {config['model_type']}")
    stored_bytes = write_checkpoint(tmp_path, config)
    model = load_model(str(tmp_path))
    assert model.weights_source == "safetensors headers"
    assert 0.9 * stored_bytes < model.weights_bytes <= stored_bytes
