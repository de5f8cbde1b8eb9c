"""Options of `sglang.launch_server` that the fake takes; argparse refuses all others."""

from __future__ import annotations

import argparse

_TEXT = ("model-path", "served-model-name", "host", "load-format", "dtype", "quantization", "kv-cache-dtype")
_MORE_TEXT = ("dist-init-addr", "api-key", "revision", "device", "log-level", "tokenizer-path")
_NUMBERS = (
    "port",
    "pp-size",
    "nnodes",
    "node-rank",
    "context-length",
    "max-running-requests",
    "max-total-tokens",
)
_MORE_NUMBERS = ("chunked-prefill-size", "base-gpu-id", "gpu-id-step", "random-seed", "max-prefill-tokens")
_FLAGS = (
    "enable-dp-attention",
    "trust-remote-code",
    "disable-cuda-graph",
    "enable-metrics",
    "skip-tokenizer-init",
)
_DEFAULTS = {"host": "127.0.0.1", "port": 30000, "pp_size": 1, "nnodes": 1, "node_rank": 0}


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options, with SGLang's defaults."""
    parser = argparse.ArgumentParser(prog="launch_server.py", allow_abbrev=False)
    for name in (*_TEXT, *_MORE_TEXT):
        parser.add_argument(f"--{name}")
    for name in (*_NUMBERS, *_MORE_NUMBERS):
        parser.add_argument(f"--{name}", type=int)
    for name in _FLAGS:
        parser.add_argument(f"--{name}", action="store_true")
    for long, short in (("tp-size", "tensor-parallel-size"), ("dp-size", "data-parallel-size")):
        parser.add_argument(f"--{short}", f"--{long}", f"--{long[:2]}", type=int, default=1, dest=long[:2])
    parser.add_argument("--expert-parallel-size", "--ep-size", "--ep", type=int, default=1, dest="ep")
    parser.add_argument("--mem-fraction-static", type=float, default=0.88)
    parser.set_defaults(**_DEFAULTS)
    parsed = parser.parse_args(arguments)
    for name, value in _DEFAULTS.items():
        if getattr(parsed, name) is None:
            setattr(parsed, name, value)
    if parsed.model_path is None:
        parser.error("the following arguments are required: --model-path/--model")
    return parsed
