"""Whether a model's folder has what an engine's server reads of it: config, tokenizer, weights."""

from __future__ import annotations

import os
from pathlib import Path

from cluster.runtime.checkpoint_files import INDEX, file_problem, shard_names

_CONFIGS = ("config.json", "params.json")
_TOKENIZERS = ("tokenizer", "vocab", "tekken", "spiece", "sentencepiece")
"""Beginnings of the names of tokenizer files, of all the forms that there are."""
_SAFETENSORS = ".safetensors"
_OTHER_WEIGHTS = (".bin", ".pt", ".pth", ".gguf")


def servable_problem(folder: Path, *, with_weights: bool = True) -> str:
    """Return why a server cannot load `folder`, in one phrase; '' when nothing is known against it.

    Without weights (they are made up) config and tokenizer are needed all the same.
    """
    try:
        return _problem(folder, with_weights)
    except OSError as error:
        return f"{error.filename or folder} cannot be read ({error.strerror or error})"
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return f"{folder / INDEX} is not an index of safetensors files"


def _problem(folder: Path, with_weights: bool) -> str:
    if not folder.exists():
        return f"{folder} does not exist"
    if not folder.is_dir():
        return f"{folder} is not a folder"
    names = sorted(entry.name for entry in folder.iterdir())
    config = next((name for name in _CONFIGS if name in names), None)
    if config is None:
        return f"{folder} has no config.json"
    tokenizer = next((name for name in names if name.startswith(_TOKENIZERS)), None)
    if tokenizer is None:
        return f"{folder} has no tokenizer"
    for name in (config, tokenizer):
        if not os.access(folder / name, os.R_OK):
            return f"{folder / name} cannot be read (no permission, or a broken link)"
    return _weights_problem(folder, names) if with_weights else ""


def _weights_problem(folder: Path, names: list[str]) -> str:
    indexed = shard_names(folder) if INDEX in names else []
    missing = [name for name in indexed if not (folder / name).is_file()]
    if missing:
        return f"{len(missing)} of {len(indexed)} weight files are missing from {folder} ({missing[0]})"
    safetensors = indexed or [name for name in names if name.endswith(_SAFETENSORS)]
    if not safetensors and not any(name.endswith(_OTHER_WEIGHTS) for name in names):
        return f"{folder} has no weights (*{_SAFETENSORS})"
    return next((problem for name in safetensors if (problem := file_problem(folder / name))), "")
