"""The options of `vllm serve` 0.32.0, in `options.json`; argparse refuses all others, and wrong values."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

_TYPES: dict[str, Any] = {"int": int, "float": float, "text": str}


def make_parser(prog: str) -> argparse.ArgumentParser:
    """Return a parser of the server's options."""
    parser = argparse.ArgumentParser(prog=prog, allow_abbrev=False)
    parser.add_argument("model_tag", nargs="?")
    for row in json.loads(Path(__file__).with_name("options.json").read_text()):
        names = row["names"]
        if row["kind"] == "switch":
            parser.add_argument(*names, action=argparse.BooleanOptionalAction)
        elif row["kind"] == "flag":
            parser.add_argument(*names, action="store_true")
        else:
            parser.add_argument(
                *names, type=_TYPES[row["kind"]], nargs=row.get("nargs"), choices=row.get("choices")
            )
    return parser


def parse(arguments: list[str], prog: str) -> argparse.Namespace:
    """Return the options, with vLLM's defaults for those that the fake needs."""
    parsed = make_parser(prog).parse_args(arguments)
    parsed.model = parsed.model_tag or parsed.model or "Qwen/Qwen3-0.6B"
    defaults = {
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
    for name, value in defaults.items():
        if getattr(parsed, name) is None:
            setattr(parsed, name, value)
    if parsed.data_parallel_size_local is None:
        parsed.data_parallel_size_local = parsed.data_parallel_size
    for name in ("max_model_len", "kv_cache_memory_bytes"):
        value = getattr(parsed, name)
        setattr(parsed, name, None if value is None else int(value))
    return parsed
