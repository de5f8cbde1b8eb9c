"""The options of `vllm serve`, by release: argparse refuses all others, and wrong values.

The tables are those that were read from the releases themselves, in tests/cluster/engines/flags.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
from pathlib import Path
from typing import Any

TABLES = Path(__file__).parents[3] / "cluster" / "engines" / "flags"
_TYPES: dict[str, Any] = {"int": int, "float": float}
_SHORT = {"--tensor-parallel-size": "-tp", "--pipeline-parallel-size": "-pp"}


def table_of(version: str) -> dict[str, dict[str, Any]]:
    """Return the options of the newest release that has a table and is not newer than `version`.

    A table may hold names alone; how many values they take is then that of the newest table.
    """
    tables = sorted((_numbers(path.stem.partition("-")[2]), path) for path in TABLES.glob("vllm-*.json"))
    fitting = [path for numbers, path in tables if numbers <= _numbers(version)] or [tables[0][1]]
    chosen, newest = (json.loads(path.read_text())["options"] for path in (fitting[-1], tables[-1][1]))
    return {name: option or newest.get(name, {}) for name, option in chosen.items()}


def _numbers(version: str) -> tuple[int, ...]:
    """Return 0.32.0 of '0.32.0+cpu' as numbers."""
    parts = version.partition("+")[0].split(".")
    return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in parts[:3])


def make_parser(prog: str) -> argparse.ArgumentParser:
    """Return a parser of the installed release's options."""
    parser = argparse.ArgumentParser(prog=prog, allow_abbrev=False)
    parser.add_argument("model_tag", nargs="?")
    for name, option in table_of(importlib.metadata.version("vllm")).items():
        names = [name, _SHORT[name]] if name in _SHORT else [name]
        values = option.get("values")
        if name == "--help":
            continue
        if values == 0:
            parser.add_argument(*names, action="store_true")
        else:
            kind = _TYPES.get(option.get("type", ""))
            parser.add_argument(*names, type=kind, nargs=values, choices=option.get("choices"))
    return parser


def parse(arguments: list[str], prog: str) -> argparse.Namespace:
    """Return the options, with vLLM's defaults for those that the fake needs."""
    parsed = make_parser(prog).parse_args(arguments)
    parsed.model = parsed.model_tag or parsed.model or "Qwen/Qwen3-0.6B"
    defaults: dict[str, Any] = {
        "host": "0.0.0.0",
        "port": 8000,
        "tensor_parallel_size": 1,
        "pipeline_parallel_size": 1,
        "data_parallel_size": 1,
        "data_parallel_start_rank": 0,
        "nnodes": 1,
        "node_rank": 0,
        "master_addr": "127.0.0.1",
        "master_port": 29501,
        "gpu_memory_utilization": 0.92,
        "max_num_seqs": 256,
        "max_num_batched_tokens": 8192,
        "dtype": "auto",
        "load_format": "auto",
    }
    absent = ("api_key", "served_model_name", "data_parallel_size_local", "data_parallel_address")
    more = ("data_parallel_rpc_port", "kv_cache_memory_bytes", "max_model_len", "headless", "enforce_eager")
    defaults |= dict.fromkeys((*absent, *more))
    for name, value in defaults.items():
        if getattr(parsed, name, None) is None:
            setattr(parsed, name, value)
    if parsed.data_parallel_size_local is None:
        parsed.data_parallel_size_local = parsed.data_parallel_size
    for name in ("max_model_len", "kv_cache_memory_bytes"):
        value = getattr(parsed, name)
        setattr(parsed, name, None if value is None else int(value))
    return parsed
