"""Find and read the config.json of a model folder in Hugging Face format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cluster.errors import BadInput
from cluster.json_file import CONFIG, read_json, shown


def find_config_file(name_or_path: str) -> Path | None:
    """Return the config.json that a path refers to; None when there is nothing at that path.

    Raises BadInput for a folder without a config.json.
    """
    path = Path(name_or_path).expanduser()
    try:
        if path.is_file():
            return path
        if not path.is_dir():
            return None
    except (OSError, ValueError):
        return None
    config = path / "config.json"
    if not config.is_file():
        raise BadInput(
            f"{shown(path)} has no config.json", "Give a folder in Hugging Face format, or a config.json"
        )
    return config


def read_config(path: Path) -> dict[str, Any]:
    """Return the object in a config.json, with the hf_quant_config.json beside it where there is one.

    Raises BadInput that says where a file is wrong.
    """
    config = _read_object(path)
    exported = path.parent / "hf_quant_config.json"
    if path.name == "config.json" and "quantization_config" not in config and exported.is_file():
        config["hf_quant_config"] = _read_object(exported)
    return config


def _read_object(path: Path) -> dict[str, Any]:
    config = read_json(path, CONFIG)
    if not isinstance(config, dict):
        raise BadInput(
            f"{shown(path)} is not a JSON object", "A config.json is one object with the model's fields"
        )
    return config
