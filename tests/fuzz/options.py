"""Lists of options: valid ones, misspelled ones, absurd values."""

from __future__ import annotations

import random

_NUMBERS = (
    "1",
    "2",
    "3",
    "4",
    "8",
    "16",
    "17",
    "128",
    "100000",
    "200001",
    "1000000000",
    "0",
    "-1",
    "1e9",
    "4.5",
)
_NUMBERS += ("", " ", "nan", "inf", "8x", "32k", "32K", "1000000000K", "9" * 400, "٣", "+4", "0x10", "1_000")
_SHARES = ("0.9", "1", "0", "1.1", "-1", "nan", "1e-300", "0.0001", "inf", "0.5")
_DURATIONS = ("1", "50", "1e-300", "1e9", "0", "-5", "nan", "inf", "1e400", "0.001")
_VALUES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("--tp", "--pp", "--dp", "--ep", "--concurrency", "--max-num-seqs"), _NUMBERS),
    **dict.fromkeys(
        ("--max-model-len", "--input-tokens", "--output-tokens", "--max-num-batched-tokens"), _NUMBERS
    ),
    "--decode-context-parallel-size": _NUMBERS,
    "--top": _NUMBERS,
    "--gpu-memory-utilization": _SHARES,
    "--ttft-ms": _DURATIONS,
    "--tpot-ms": _DURATIONS,
    "--kv-cache-memory-bytes": ("1", "8G", "8Gi", "999999999999999Gi", "0", "x", "8g", "1i"),
    "--dtype": ("auto", "bf16", "float16", "float32", "int8", ""),
    "--kv-cache-dtype": ("auto", "fp8", "fp8_e5m2", "bf16", "int4"),
    "--quantization": ("fp8", "awq", "gptq", "nvfp4", "int8", "bitsandbytes", "mxfp4", "new", "\x1b", ""),
    "--objective": ("throughput", "latency", "speed"),
    "--workload": ("inference", "training", "both"),
    "--engine": ("builtin", "vllm", "sglang", "tensorrt-llm", "ollama"),
    "--engine-version": ("0.11.0", "0.6.3", "99", "1.2.0", "x", "..", "0.10.1.1+cu128", "9" * 60),
}
_FLAGS = (*("--enforce-eager", "--json", "--ascii") * 5, "--unknown")


_RIGHT = (
    "1",
    "2",
    "4",
    "8",
    "32K",
    "0.9",
    "50",
    "auto",
    "fp8",
    "bf16",
    "latency",
    "training",
    "vllm",
    "sglang",
)


def options(rng: random.Random, most: int) -> list[str]:
    """Return up to `most` options with valid or invalid values."""
    found: list[str] = []
    for _ in range(rng.randint(0, most)):
        if rng.random() < 0.2:
            found.append(rng.choice(_FLAGS))
            continue
        name = rng.choice(tuple(_VALUES))
        right = [value for value in _VALUES[name] if value in _RIGHT]
        value = rng.choice(right if right and rng.random() < 0.85 else _VALUES[name])
        found += [f"{name}={value}"] if rng.random() < 0.3 else [name, value]
    return found
