"""Model folders: changed configs of many families and of the catalog, some with an index or weights."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from typing import Any

from cluster.catalog.models.entries import model_names, read_entry
from tests.cluster.catalog.configs import EVERY, sized
from tests.fuzz.values import ABSURD, changed, damaged_text

_ATOMS = (
    "a",
    ".",
    ".*",
    r"\w",
    r"\.",
    "(",
    ")",
    "[",
    "]",
    "|",
    "*",
    "+",
    "?",
    "{2,9}",
    "{,3}",
    "(?!",
    "(?<=",
    "(?:",
)
_ATOMS += ("layers", "mlp", r"\d+", "^", "$", r"\Z", "(?i)", "*!", "self_attn", "(.*)*", r"(\w*\.?)*")
_METHODS = (
    "fp8",
    "awq",
    "gptq",
    "compressed-tensors",
    "modelopt",
    "mxfp4",
    "bitsandbytes",
    "quark",
    "torchao",
    "hqq",
    "new",
)
_LISTS = ("ignore", "modules_to_not_convert", "ignored_layers", "exclude_modules", "llm_int8_skip_modules")


def write_model(rng: random.Random, folder: Path) -> Path:
    """Write a folder with a config.json, sometimes with an index or weights; return a value for --model."""
    config = _config(rng)
    if rng.random() < 0.25:
        config["quantization_config"] = _quantization(rng)
    config = changed(rng, config, 2) if rng.random() < 0.7 else config
    (folder / "config.json").write_bytes(damaged_text(rng, config))
    kind = rng.random()
    if kind < 0.12:
        _write_index(rng, folder)
    elif kind < 0.3:
        _write_weights(rng, folder)
    elif kind < 0.33:
        (folder / "hf_quant_config.json").write_bytes(damaged_text(rng, {"quantization": _quantization(rng)}))
    return rng.choice((folder, folder / "config.json"))


def _config(rng: random.Random) -> dict[str, Any]:
    if rng.random() < 0.5:
        return dict(rng.choice(EVERY))
    config: dict[str, Any] = read_entry(rng.choice(model_names()))["config"]
    return config


def pattern(rng: random.Random) -> str:
    """Return a module pattern: a short regular expression, a glob, or a name."""
    text = "".join(rng.choice(_ATOMS) for _ in range(rng.randint(1, 12)))
    return rng.choice(("re:", "re:.*", "", "*", "model.layers.3.")) + text * rng.choice((1, 1, 1, 30))


def _quantization(rng: random.Random) -> dict[str, Any]:
    method = rng.choice(_METHODS)
    weights = {"num_bits": rng.choice((4, 8, 3, 0)), "type": rng.choice(("int", "float")), "group_size": 128}
    targets = ["Linear"] if rng.random() < 0.5 else [pattern(rng) for _ in range(rng.randint(1, 4))]
    section: dict[str, Any] = {
        "quant_method": method,
        "quant_algo": rng.choice(("FP8", "NVFP4", "MIXED_PRECISION", "x")),
        "bits": 4,
        "group_size": rng.choice((128, -1, 64)),
        "config_groups": {"group_0": {"targets": targets, "weights": weights}},
        rng.choice(_LISTS): [pattern(rng) for _ in range(rng.choice((1, 3, 40)))],
        "dynamic": {f"-:{pattern(rng)}": {}},
    }
    return {name: value for name, value in section.items() if rng.random() < 0.8}


def _write_index(rng: random.Random, folder: Path) -> None:
    index = {
        "metadata": {"total_size": rng.choice((5, 16_060_522_496, 2_000_000, *ABSURD))},
        "weight_map": {f"t{i}": f"model-{i:05}-of-00003.safetensors" for i in range(3)},
    }
    index = changed(rng, index) if rng.random() < 0.5 else index
    (folder / "model.safetensors.index.json").write_bytes(damaged_text(rng, index))


def _write_weights(rng: random.Random, folder: Path) -> None:
    """Write a small checkpoint with a valid or invalid header, and shrink the config to match."""
    if rng.random() < 0.5:
        config = {**sized("llama"), "torch_dtype": "bfloat16", "tie_word_embeddings": False}
        (folder / "config.json").write_text(json.dumps(config))
    header: dict[str, Any] = {}
    end = 0
    sizes = {
        "model.embed_tokens.weight": [1000, 256],
        "lm_head.weight": [1000, 256],
        "model.norm.weight": [256],
    }
    sizes |= {f"model.layers.{i}.mlp.up_proj.weight": [557_568] for i in range(rng.choice((4, 4, 4, 3, 5)))}
    for name, shape in sizes.items():
        size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    header = changed(rng, header, 1) if rng.random() < 0.5 else header
    text = damaged_text(rng, header)
    length = rng.choice((len(text), len(text), len(text), len(text), 0, 2**40, len(text) + 9))
    name = rng.choice(
        ("model", "model", "model", "model-00001-of-00030", "model-00001-of-00001", "consolidated")
    )
    with (folder / f"{name}.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", length) + text)
        file.truncate(8 + len(text) + max(0, end + rng.choice((0, 0, 0, -1, 1))))
