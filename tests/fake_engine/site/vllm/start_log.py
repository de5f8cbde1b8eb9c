"""What vLLM 0.32 prints on the way to its first request, in its order and its words."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator

from fake_server.figures import GIB, Figures, read_config
from fake_server.log import Printer, say

NUM_STEPS = 13
_SHARDS = 4


def opening(out: Printer, options: argparse.Namespace, version: str) -> None:
    """Lines of the API server before the engine starts."""
    for art in ("       █     █     █▄   ▄█", f" ▄▄ ▄█ █     █     █ ▀▄▀ █  version {version}"):
        out.info("api_utils.py", art)
    shown = {name: value for name, value in vars(options).items() if value not in (None, False)}
    shown |= {"api_key": "***"} if options.api_key else {}
    out.info("api_utils.py", f"non-default args: {shown}")
    architecture = read_config(options.model).get("architectures", ["LlamaForCausalLM"])[0]
    out.info("model.py", f"Resolved architecture: {architecture}")
    out.info("model.py", f"Using max model len {options.max_model_len or 4096}")
    out.info(
        "scheduler.py",
        f"Chunked prefill is enabled with max_num_batched_tokens={options.max_num_batched_tokens}.",
    )


def engine(out: Printer, options: argparse.Namespace) -> None:
    """Lines of the engine core before its workers load."""
    out.info(
        "core.py",
        f"Initializing a V1 LLM engine (v0.32.0) with config: model={options.model!r}, "
        f"max_seq_len={options.max_model_len}, load_format={options.load_format}, "
        f"tensor_parallel_size={options.tensor_parallel_size}, "
        f"pipeline_parallel_size={options.pipeline_parallel_size}",
    )


def loading(
    out: Printer, options: argparse.Namespace, made: Figures, total_s: float
) -> Iterator[Callable[[], None]]:
    """Yield what to print at each of NUM_STEPS steps."""
    tp = options.tensor_parallel_size
    world = tp * options.pipeline_parallel_size
    yield lambda: out.info(
        "parallel_state.py",
        f"rank 0 in world size {world} is assigned as DP rank 0, PP rank 0, PCP rank 0, TP rank 0, "
        "ETP rank 0, EP rank N/A, EPLB rank N/A",
    )
    yield lambda: out.info("gpu_model_runner.py", f"Starting to load model {options.model}...")
    if options.load_format == "dummy":
        yield lambda: None
    else:
        for number in range(_SHARDS + 1):
            yield lambda number=number: say(_shard_line(number))  # type: ignore[misc]
    spent_s = total_s / 2
    yield lambda: out.info("default_loader.py", f"Loading weights took {spent_s:.2f} seconds")
    yield lambda: out.info(
        "gpu_model_runner.py",
        f"Model loading took {made.weights_bytes / GIB:.2f} GiB memory and {spent_s:.6f} seconds",
    )
    yield lambda: _profiled(out, options, made)
    yield lambda: _captured(out, options, made)
    yield lambda: _used(out, options, made)
    yield lambda: out.info(
        "core.py",
        f"init engine (profile, create kv cache, warmup model) took {spent_s:.2f} s (compilation: 0.10 s)",
    )


def _shard_line(number: int) -> str:
    percent = 100 * number // _SHARDS
    return (
        f"Loading safetensors checkpoint shards: {percent:3d}% Completed | {number}/{_SHARDS} "
        "[00:00<00:00,  9.02it/s]"
    )


def _profiled(out: Printer, options: argparse.Namespace, made: Figures) -> None:
    """Lines about memory; with a fixed cache size nothing is profiled."""
    out.info("monitor.py", "torch.compile took 0.10 s in total")
    if options.kv_cache_memory_bytes is None:
        if not options.enforce_eager:
            graphs = made.graph_bytes / GIB
            out.info("gpu_model_runner.py", f"Estimated CUDA graph memory: {graphs:.2f} GiB total")
        out.info("gpu_worker.py", f"Available KV cache memory: {made.kv_cache_bytes / GIB:.2f} GiB")
    core_out = out.renamed("EngineCore")
    device = "CPU" if os.environ.get("VLLM_CPU_KVCACHE_SPACE") else "GPU"
    core_out.info(
        "kv_cache_utils.py",
        f"{device} KV cache size: {made.kv_cache_tokens:,} tokens, Maximum concurrency for "
        f"{made.max_model_len:,} tokens per request: {made.max_concurrency:.2f}x",
    )


def _captured(out: Printer, options: argparse.Namespace, made: Figures) -> None:
    if options.enforce_eager:
        return
    for done, bar in ((17, "███▎"), (35, "██████████")):
        percent = 100 * done // 35
        os.write(
            2,
            f"\rCapturing CUDA graphs (mixed prefill-decode, PIECEWISE): {percent:3d}%|{bar}| {done}/35 "
            "[00:01<00:00, 21.00it/s]".encode(),
        )
    os.write(2, b"\n")
    out.info(
        "gpu_model_runner.py", f"Graph capturing finished in 5 secs, took {made.graph_bytes / GIB:.2f} GiB"
    )


def _used(out: Printer, options: argparse.Namespace, made: Figures) -> None:
    """The line that sums up the memory; with a fixed cache size there is none."""
    if options.kv_cache_memory_bytes is not None:
        return
    consumed, peak = made.weights_bytes + made.non_torch_bytes, made.activation_bytes
    graphs = 0 if options.enforce_eager else made.graph_bytes
    budget = made.kv_cache_bytes + consumed + peak
    free = budget / options.gpu_memory_utilization
    out.info(
        "gpu_worker.py",
        f"Free memory on device ({free / GIB:.2f}/{free / GIB:.2f} GiB) on startup. Desired GPU memory "
        f"utilization is ({options.gpu_memory_utilization}, {budget / GIB:.2f} GiB). Actual usage is "
        f"{consumed / GIB:.2f} GiB for consumed memory (weights + non-torch), {peak / GIB:.2f} GiB for peak "
        f"activation, and {graphs / GIB:.2f} GiB for CUDAGraph memory. Replace gpu_memory_utilization config "
        f"with `--kv-cache-memory={made.kv_cache_bytes}` ({made.kv_cache_bytes / GIB:.2f} GiB) to fit into "
        f"requested memory. Current kv cache memory in use is {made.kv_cache_bytes / GIB:.2f} GiB.",
    )


def listening(out: Printer, options: argparse.Namespace) -> None:
    """Lines of the API server once its port answers."""
    out.info("entry.py", f"Starting vLLM server on http://{options.host}:{options.port}")
    out.info("launcher.py", "Available routes are:")
    for path in ("/health", "/metrics", "/v1/models", "/v1/chat/completions", "/v1/completions"):
        out.info("launcher.py", f"Route: {path}, Methods: GET, POST")
    say(f"INFO:     Started server process [{os.getpid()}]")
    say("INFO:     Waiting for application startup.")
    say("INFO:     Application startup complete.")
