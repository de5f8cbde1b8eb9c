"""Questions to the planner: command lines of `--dry-run`, drawn with a fixed seed.

They are drawn once and stored with their answers, so that a new model or GPU in the catalog does not change
which questions are asked.
"""

from __future__ import annotations

import random

from cluster.catalog.gpus import all_gpu_types
from cluster.catalog.models import model_names
from tests.corpus.clusters import SNAPSHOTS

SEED = 20261127
NUM_QUESTIONS = 1500

COMMON_MODELS = (
    "meta-llama/Llama-2-7b-hf",
    "meta-llama/Llama-3.1-8B-Instruct",
    "meta-llama/Llama-3.1-70B-Instruct",
    "meta-llama/Llama-3.1-405B-Instruct",
    "Qwen/Qwen3-235B-A22B",
    "deepseek-ai/DeepSeek-V3",
    "mistralai/Mixtral-8x7B-Instruct-v0.1",
    "openai/gpt-oss-120b",
)
COMMON_CLUSTERS = (
    "4xA100-80GB",
    "8xA100-80GB",
    "2x4xA100-80GB",
    "8xH100",
    "2x8xH100",
    "4x8xH100",
    "8xH200",
    "4xL4",
    "8xL40S",
    "2xRTX-4090",
    "1xH100",
    "8xB200",
    "4x4xGB200",
    "2x4xA100-80GB,1x8xL4",
)
VERSIONS = {
    "vllm": (None, "0.6.5", "0.8.5", "0.10.2", "0.11.0", "0.15.1", "0.20.0", "0.28.0", "0.32.0"),
    "sglang": (None, "0.4.6", "0.5.3", "0.5.9"),
    "tensorrt-llm": (None,),
    "builtin": (None,),
}

Arguments = tuple[str, ...]


def questions() -> tuple[Arguments, ...]:
    """Return the command lines, the textbook ones first. '@NAME' stands for the snapshot of that name."""
    draw = random.Random(SEED)
    drawn = [_question(draw) for _ in range(NUM_QUESTIONS)]
    return tuple(dict.fromkeys([*_textbook(), *drawn]))


def _textbook() -> list[Arguments]:
    """Return every common model on every common cluster, with the defaults."""
    return [
        ("--model", model, "--cluster", cluster) for model in COMMON_MODELS for cluster in COMMON_CLUSTERS
    ]


def _question(draw: random.Random) -> Arguments:
    words = ["--model", _model(draw), "--cluster", _cluster(draw), *_engine(draw)]
    for part in (_degrees, _limits, _formats, _workload):
        words += part(draw)
    return tuple(words)


def _model(draw: random.Random) -> str:
    return draw.choice(COMMON_MODELS) if draw.random() < 0.35 else draw.choice(sorted(model_names()))


def _cluster(draw: random.Random) -> str:
    chance = draw.random()
    if chance < 0.15:
        return f"@{draw.choice(sorted(SNAPSHOTS))}"
    if chance < 0.65:
        return draw.choice(COMMON_CLUSTERS)
    gpu = draw.choice(sorted(all_gpu_types()))
    nodes, gpus = draw.choice((1, 1, 1, 2, 2, 3, 4)), draw.choice((1, 2, 3, 4, 6, 8, 8))
    return f"{nodes}x{gpus}x{gpu}"


def _engine(draw: random.Random) -> list[str]:
    name = draw.choices(sorted(VERSIONS), weights=(1, 3, 1, 8))[0]
    version = draw.choice(VERSIONS[name])
    words = [] if name == "vllm" and draw.random() < 0.4 else ["--engine", name]
    return words if version is None else [*words, "--engine-version", version]


def _degrees(draw: random.Random) -> list[str]:
    words = []
    for option, chance, degrees in (
        ("--tp", 0.2, (1, 2, 3, 4, 8, 16)),
        ("--pp", 0.1, (1, 2, 3, 4)),
        ("--dp", 0.1, (1, 2, 4, 8)),
        ("--ep", 0.05, (1, 2, 8, 16)),
        ("--decode-context-parallel-size", 0.03, (2, 4)),
    ):
        if draw.random() < chance:
            words += [option, str(draw.choice(degrees))]
    return words


def _limits(draw: random.Random) -> list[str]:
    words = ["--enforce-eager"] if draw.random() < 0.08 else []
    for option, chance, values in (
        ("--max-model-len", 0.25, (512, 4096, 8192, 32768, 131072, 1000000)),
        ("--max-num-seqs", 0.15, (1, 8, 64, 256, 1024)),
        ("--max-num-batched-tokens", 0.08, (512, 2048, 8192, 32768)),
        ("--gpu-memory-utilization", 0.12, ("0.5", "0.8", "0.95", "0.98")),
        ("--kv-cache-memory-bytes", 0.04, (4 * 2**30, 20 * 2**30)),
    ):
        if draw.random() < chance:
            words += [option, str(draw.choice(values))]
    return words


def _formats(draw: random.Random) -> list[str]:
    words: list[str] = []
    for option, chance, values in (
        ("--dtype", 0.08, ("bf16", "fp16", "fp32", "auto")),
        ("--quantization", 0.08, ("fp8", "awq", "gptq", "bitsandbytes", "nvfp4")),
        ("--kv-cache-dtype", 0.1, ("fp8", "auto", "bf16", "fp8_e5m2")),
    ):
        if draw.random() < chance:
            words += [option, draw.choice(values)]
    return words


def _workload(draw: random.Random) -> list[str]:
    if draw.random() < 0.08:
        return ["--workload", "training"]
    words: list[str] = []
    for option, chance, values in (
        ("--input-tokens", 0.2, (128, 1000, 8000, 60000)),
        ("--output-tokens", 0.2, (1, 128, 1000, 4000)),
        ("--concurrency", 0.2, (1, 8, 64, 512)),
        ("--objective", 0.15, ("latency", "throughput")),
        ("--ttft-ms", 0.06, (50, 300, 2000)),
        ("--tpot-ms", 0.06, (5, 20, 100)),
    ):
        if draw.random() < chance:
            words += [option, str(draw.choice(values))]
    return words
