"""One case: a command's arguments and the files they name. A number always gives the same case."""

from __future__ import annotations

import random
from pathlib import Path

from tests.fuzz.clusters import good_spec, spec, write_snapshot
from tests.fuzz.configs import write_model
from tests.fuzz.options import options

_MODELS = ("llama-3.1-8b", "llama-3.1-70b", "openai/gpt-oss-20b", "deepseek-ai/DeepSeek-V3", "qwen3-14b-awq")
_MODELS += (
    "google/gemma-3-27b-it",
    "",
    "no such model",
    "../../etc",
    "\x1b[2J",
    "llama",
    "a/b/c",
    "x" * 3000,
)


def arguments_of(number: int, folder: Path) -> list[str]:
    """Return the arguments of case `number`, and write the files they name into the empty `folder`."""
    rng = random.Random(f"clusterview {number}")
    kind = rng.random()
    if kind < 0.5:
        return _command(rng, str(write_model(rng, folder)), good_spec(rng), 2)
    if kind < 0.75:
        return _command(rng, rng.choice(_MODELS[:5]), str(write_snapshot(rng, folder)), 2)
    return _command(rng, rng.choice(_MODELS), spec(rng), 8)


def _command(rng: random.Random, model: str, cluster: str, most_options: int) -> list[str]:
    return ["--dry-run", f"--model={model}", f"--cluster={cluster}", *options(rng, most_options)]
