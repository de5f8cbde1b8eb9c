"""Options that several commands share."""

from __future__ import annotations

import argparse

from cluster.catalog.engine_names import engine_names
from cluster.cli.option_types import (
    byte_count,
    cluster_words,
    fraction,
    interpreter_path,
    milliseconds,
    positive_int,
    short_name,
    some_text,
    token_count,
    version_text,
)

KV_CACHE_DTYPES = ("auto", "bf16", "bfloat16", "fp16", "float16", "fp8", "fp8_e4m3", "fp8_e5m2")
LOAD_FORMATS = ("auto", "safetensors", "dummy")
DTYPES = ("auto", "bf16", "bfloat16", "fp16", "float16", "half", "fp32", "float32", "float")


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the cluster comes from."""
    group = parser.add_argument_group("where the cluster comes from (default: this machine's GPUs)")
    group.add_argument(
        "--address", type=some_text, metavar="HOST:PORT", help="a running Ray cluster (or RAY_ADDRESS)"
    )
    group.add_argument(
        "--simulate",
        type=cluster_words,
        metavar="SPEC|FILE",
        help="a simulated cluster, such as 2x4xA100-80GB, or a scene file in which things happen on one",
    )
    group.add_argument(
        "--cluster",
        type=cluster_words,
        metavar="FILE|SPEC",
        help="a snapshot file or a cluster spec, for planning only",
    )


def add_observe(parser: argparse.ArgumentParser) -> None:
    """Add --observe, for the verbs that only look at a cluster."""
    parser.add_argument(
        "--observe",
        type=some_text,
        default=None,
        metavar="URL",
        help="watch a Ray cluster through its dashboard, such as http://10.0.0.1:8265, without joining it",
    )


def add_plan(parser: argparse.ArgumentParser) -> None:
    """Add the options of a plan: model, parallel degrees, limits, formats, workload."""
    group = parser.add_argument_group("what to plan")
    group.add_argument(
        "--model", type=some_text, metavar="M", help="catalog name, folder, config.json or hub id"
    )
    for axis, text in (("tp", "tensor"), ("pp", "pipeline"), ("dp", "data"), ("ep", "expert")):
        group.add_argument(
            f"--{axis}", type=positive_int, metavar="N", help=f"pin the {text}-parallel degree"
        )
    group.add_argument(
        "--max-model-len", type=token_count, metavar="N", help="longest sequence: prompt plus output"
    )
    group.add_argument(
        "--max-num-seqs", type=positive_int, metavar="N", help="maximum concurrent sequences per replica"
    )
    group.add_argument(
        "--max-num-batched-tokens", type=token_count, metavar="N", help="maximum tokens per step, as in vLLM"
    )
    group.add_argument(
        "--gpu-memory-utilization", type=fraction, metavar="X", help="fraction of each GPU's memory to use"
    )
    group.add_argument(
        "--kv-cache-memory-bytes",
        type=byte_count,
        metavar="N",
        help="size of each GPU's KV cache, as in vLLM",
    )
    group.add_argument(
        "--decode-context-parallel-size",
        type=positive_int,
        default=1,
        metavar="N",
        help="ranks that split a replicated KV cache, as in vLLM",
    )
    group.add_argument("--enforce-eager", action="store_true", help="plan without CUDA graphs, as in vLLM")
    group.add_argument("--dtype", choices=DTYPES, metavar="D", help="compute dtype: auto, bf16, fp16, fp32")
    group.add_argument("--quantization", type=short_name, metavar="Q", help="quantize on load, as in vLLM")
    group.add_argument(
        "--load-format",
        choices=LOAD_FORMATS,
        default="auto",
        help="weights to deploy: the checkpoint's (auto, safetensors) or random ones (dummy)",
    )
    group.add_argument(
        "--no-calibration", action="store_true", help="ignore rates measured by `clusterview calibrate`"
    )
    group.add_argument("--kv-cache-dtype", choices=KV_CACHE_DTYPES, metavar="D", help="auto, bf16, fp8 ...")
    _add_workload(parser)


def _add_workload(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the workload")
    group.add_argument(
        "--input-tokens", type=token_count, default=1024, metavar="N", help="prompt length in tokens"
    )
    group.add_argument(
        "--output-tokens", type=token_count, default=512, metavar="N", help="output length in tokens"
    )
    group.add_argument("--concurrency", type=positive_int, metavar="N", help="concurrent requests")
    group.add_argument(
        "--objective", choices=("throughput", "latency"), default="throughput", help="metric to optimize"
    )
    group.add_argument("--ttft-ms", type=milliseconds, metavar="MS", help="maximum time to first token")
    group.add_argument("--tpot-ms", type=milliseconds, metavar="MS", help="maximum time per output token")
    group.add_argument(
        "--workload", choices=("inference", "training"), default="inference", help="kind of workload"
    )
    group.add_argument(
        "--engine", choices=engine_names(), default=None, help="inference engine to plan for and to deploy"
    )
    group.add_argument(
        "--engine-version", type=version_text, metavar="V", help="engine version, such as 0.11.0"
    )
    group.add_argument(
        "--engine-python",
        type=interpreter_path,
        metavar="PATH",
        help="Python interpreter on the nodes that has the engine (default: the one that runs Ray there; the "
        "config file can name one too)",
    )


def add_output(parser: argparse.ArgumentParser, top: bool = True) -> None:
    """Add how results are printed; `top`: for a verb that lists layouts."""
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="print JSON (schema_version 1)")
    if top:
        group.add_argument("--top", type=positive_int, metavar="N", help="number of layouts to print")
