"""Where a rank's weights come from, and in which dtype they run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.engine.config import ModelConfig
from cluster.engine.config_fields import Fields
from cluster.errors import BadInput
from cluster.json_file import SETTINGS, read_json
from cluster.text import clean

DTYPES = {
    "fp32": "float32",
    "float32": "float32",
    "float": "float32",
    "bf16": "bfloat16",
    "bfloat16": "bfloat16",
    "fp16": "float16",
    "float16": "float16",
    "half": "float16",
}


@dataclass(frozen=True, slots=True)
class WeightSource:
    """A Hugging Face config, and a folder with weights or None for made-up ones."""

    config: Mapping[str, Any]
    path: str | None = None
    seed: int = 0

    @classmethod
    def of(cls, source: Mapping[str, Any] | Any) -> WeightSource:
        """Take anything with `config`, `path` and `seed`, as keys or as attributes."""
        if isinstance(source, Mapping):
            return cls(source["config"], source.get("path"), int(source.get("seed") or 0))
        return cls(source.config, source.path, int(source.seed))

    def eos_token_ids(self, config: ModelConfig) -> tuple[int, ...]:
        """Return the tokens that end a text: generation_config.json knows more of them than config.json."""
        if self.path is None:
            return config.eos_token_ids
        file = Path(self.path) / "generation_config.json"
        try:
            values = read_json(file, SETTINGS)
        except BadInput:
            return config.eos_token_ids
        found = Fields(values, str(file)).token_ids("eos_token_id") if isinstance(values, Mapping) else ()
        return tuple(dict.fromkeys((*config.eos_token_ids, *found)))


def resolve_dtype(name: str, config: ModelConfig) -> str:
    """Return 'float32', 'bfloat16' or 'float16'; 'auto' is the checkpoint's own."""
    if name == "auto":
        return config.dtype
    if name not in DTYPES:
        raise BadInput(
            f"The built-in engine does not compute in {clean(name)}", "Use auto, bfloat16, float16 or float32"
        )
    return DTYPES[name]
