"""Where a rank's weights come from, and in which dtype they run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.hf_config.quantization.formats import plain_dtype
from cluster.errors import BadInput
from cluster.json_file import SETTINGS, read_json
from cluster.runtime.config import ModelConfig
from cluster.text import clean

_TORCH_NAMES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


@dataclass(frozen=True, slots=True)
class WeightSource:
    """A Hugging Face config, and the folder with the weights; None for dummy weights."""

    config: Mapping[str, Any]
    path: str | None = None
    seed: int = 0

    @classmethod
    def of(cls, source: Mapping[str, Any] | Any) -> WeightSource:
        """Read `config`, `path`, `hub_id`, `revision` and `seed` from a mapping or an object.

        Weights given by hub id are looked up in this machine's Hugging Face cache. BadInput when they are not
        there: it must not fall back to dummy weights silently.
        """
        config = source["config"] if isinstance(source, Mapping) else source.config
        return cls(config, weights_folder(source), int(_field(source, "seed") or 0))

    def eos_token_ids(self, config: ModelConfig) -> tuple[int, ...]:
        """Return the tokens that end a text, from config.json and generation_config.json."""
        if self.path is None:
            return config.eos_token_ids
        file = Path(self.path) / "generation_config.json"
        try:
            values = read_json(file, SETTINGS)
        except BadInput:
            return config.eos_token_ids
        found = Fields(values, str(file)).token_ids("eos_token_id") if isinstance(values, Mapping) else ()
        return tuple(dict.fromkeys((*config.eos_token_ids, *found)))


def weights_folder(source: Mapping[str, Any] | Any, *, with_weights: bool = True) -> str | None:
    """Return the folder on this machine that `source` gives by path or hub id; None for dummy weights.

    `with_weights=False` asks for a tokenizer only. Raises BadInput when the hub's cache does not have it.
    """
    path, hub_id = _field(source, "path"), _field(source, "hub_id")
    if path is not None or hub_id is None:
        return None if path is None else str(path)
    from cluster.runtime.hub_cache import find_cached

    revision = _field(source, "revision") if with_weights else None
    found = find_cached(str(hub_id), revision, with_weights=with_weights)
    if found.path is None:
        raise BadInput(
            f"{clean(str(hub_id))} {found.problem}", f"On that node, run: hf download {clean(str(hub_id))}"
        )
    return found.path


def _field(source: Mapping[str, Any] | Any, name: str) -> Any:
    return source.get(name) if isinstance(source, Mapping) else getattr(source, name, None)


def resolve_dtype(name: str, config: ModelConfig) -> str:
    """Return 'float32', 'bfloat16' or 'float16'; 'auto' is the checkpoint's own; BadInput for others."""
    if name == "auto":
        return config.dtype
    dtype = plain_dtype(name)
    if dtype is None:
        raise BadInput(
            f"The built-in engine does not support dtype {clean(name)}",
            "Use auto, bfloat16, float16 or float32",
        )
    return _TORCH_NAMES[dtype]
