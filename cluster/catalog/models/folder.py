"""Read a model folder in Hugging Face form: its config.json, and what the checkpoint really weighs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cluster.errors import BadInput
from cluster.json_file import CONFIG, read_json, shown


def find_config_file(name_or_path: str) -> Path | None:
    """Return the config.json a path means; None when it names nothing on disk.

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
            f"{shown(path)} holds no config.json", "Name a folder in Hugging Face form, or its config.json"
        )
    return config


def read_config(path: Path) -> dict[str, Any]:
    """Return the object in a config.json, with the hf_quant_config.json beside it where there is one.

    Raises BadInput with the place where a file breaks.
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
            f"{shown(path)} is not a JSON object", "A config.json holds one object with the model's fields"
        )
    return config
