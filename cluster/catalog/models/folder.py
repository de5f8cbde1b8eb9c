"""Read a model folder in Hugging Face form: its config.json, and what the checkpoint really weighs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cluster.errors import BadInput
from cluster.text import clean

_MAX_CONFIG_BYTES = 64 * 2**20


def shown(path: Path) -> str:
    """Return a path as it may be printed: file names are outside text too."""
    return clean(str(path))


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
    try:
        if path.stat().st_size > _MAX_CONFIG_BYTES:
            raise BadInput(f"{shown(path)} is larger than 64 MiB", "That is no config.json")
        config = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise BadInput(
            f"{shown(path)} is not JSON: {error.msg} at line {error.lineno} column {error.colno}",
            "Is the file cut short? Fetch it again",
        ) from None
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise BadInput(
            f"{shown(path)} cannot be read: {clean(str(error), 120)}", "A config.json is UTF-8 JSON text"
        ) from None
    if not isinstance(config, dict):
        raise BadInput(
            f"{shown(path)} is not a JSON object", "A config.json holds one object with the model's fields"
        )
    return config
