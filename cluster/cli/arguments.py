"""The command line of `clusterview`: every option in one place, and errors in one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from cluster.cli.option_types import (
    byte_count,
    cluster_words,
    fraction,
    milliseconds,
    positive_int,
    short_name,
    some_text,
    token_count,
    version_text,
)
from cluster.errors import BadInput

VERBS = ("deploy", "status", "stop", "snapshot", "doctor")
ENGINES = ("builtin", "vllm", "sglang", "tensorrt-llm")
KV_CACHE_DTYPES = ("auto", "bf16", "bfloat16", "fp16", "float16", "fp8", "fp8_e4m3", "fp8_e5m2")
DTYPES = ("auto", "bf16", "bfloat16", "fp16", "float16", "half", "fp32", "float32", "float")

_DESCRIPTION = """See a GPU cluster, plan a model's layout on it, deploy it with one key.
Without a verb the terminal app opens; with --dry-run the plan is printed instead."""
_EXAMPLES = """examples:
  clusterview --simulate 2x4xA100-80GB
  clusterview --dry-run --model llama-3.1-70b --cluster 2x4xA100-80GB
  clusterview --dry-run --model ./my-model --cluster 8xL40S --tp 8 --json
  clusterview deploy --simulate 2x4xA100-80GB --model llama-3.1-8b
exit status: 0 done (of a plan: a layout was found), 1 none fits or the deployment failed, 2 bad input,
3 the system refused (disk, stream, permission, limits), 4 a fault of clusterview, 130 interrupted"""


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are BadInput instead of a usage text and an exit."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(message, f"See: {self.prog} --help")

    def print_help(self, file: Any = None) -> None:
        """Write the help; argparse itself would hide that nobody can read it."""
        (file or sys.stdout).write(self.format_help())


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of `argv` (default: the process's own); BadInput says which one is wrong."""
    return build_parser().parse_args(argv)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with all verbs. Options of the main parser hold for every verb."""
    parser = OneLineParser(
        prog="clusterview",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(verb=None)
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="print the version and exit")
    parser.add_argument("--dry-run", action="store_true", help="plan and print, without opening the app")
    parser.add_argument(
        "--demo",
        action="store_true",
        help="use this machine's GPUs, or a simulated cluster where there are none",
    )
    parser.add_argument("--ascii", action="store_true", help="draw the app without box and block characters")
    _add_source(parser)
    _add_plan(parser)
    _add_output(parser)
    verbs = parser.add_subparsers(metavar="VERB", parser_class=OneLineParser, title="verbs")
    for name, add_options in _VERB_OPTIONS.items():
        _add_verb(verbs, name, add_options)
    return parser


def _add_verb(verbs: Any, name: str, add_options: Any) -> None:
    # Defaults stand in the main parser: an option before the verb must survive the verb's own parsing.
    summary = _SUMMARIES[name]
    verb = verbs.add_parser(
        name, help=summary, description=summary, allow_abbrev=False, argument_default=argparse.SUPPRESS
    )
    verb.set_defaults(verb=name)
    add_options(verb)


def _add_source(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("where the cluster comes from (default: this machine's GPUs)")
    group.add_argument(
        "--address", type=some_text, metavar="HOST:PORT", help="a running Ray cluster (or RAY_ADDRESS)"
    )
    group.add_argument(
        "--simulate", type=cluster_words, metavar="SPEC", help="a simulated cluster, such as 2x4xA100-80GB"
    )
    group.add_argument(
        "--cluster",
        type=cluster_words,
        metavar="FILE|SPEC",
        help="a snapshot file or a cluster spec, for planning only",
    )


def _add_plan(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what to plan")
    group.add_argument(
        "--model", type=some_text, metavar="M", help="catalogue name, folder, config.json or hub id"
    )
    for axis, text in (("tp", "tensor"), ("pp", "pipeline"), ("dp", "data"), ("ep", "expert")):
        group.add_argument(
            f"--{axis}", type=positive_int, metavar="N", help=f"pin the {text}-parallel degree"
        )
    group.add_argument(
        "--max-model-len", type=token_count, metavar="N", help="longest sequence, prompt and answer"
    )
    group.add_argument(
        "--max-num-seqs", type=positive_int, metavar="N", help="sequences a replica runs at once"
    )
    group.add_argument(
        "--max-num-batched-tokens", type=token_count, metavar="N", help="tokens of one step, as in vLLM"
    )
    group.add_argument(
        "--gpu-memory-utilization", type=fraction, metavar="X", help="share of each GPU to use"
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
        help="ranks over which a copied KV cache is divided, as in vLLM",
    )
    group.add_argument("--enforce-eager", action="store_true", help="plan without CUDA graphs, as in vLLM")
    group.add_argument("--dtype", choices=DTYPES, metavar="D", help="compute dtype: auto, bf16, fp16, fp32")
    group.add_argument("--quantization", type=short_name, metavar="Q", help="quantise on load, as in vLLM")
    group.add_argument("--kv-cache-dtype", choices=KV_CACHE_DTYPES, metavar="D", help="auto, bf16, fp8 ...")
    _add_workload(parser)


def _add_workload(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the workload")
    group.add_argument("--input-tokens", type=token_count, default=1024, metavar="N", help="prompt length")
    group.add_argument("--output-tokens", type=token_count, default=512, metavar="N", help="answer length")
    group.add_argument("--concurrency", type=positive_int, metavar="N", help="requests in flight together")
    group.add_argument(
        "--objective", choices=("throughput", "latency"), default="throughput", help="rank by this"
    )
    group.add_argument("--ttft-ms", type=milliseconds, metavar="MS", help="limit on time to first token")
    group.add_argument("--tpot-ms", type=milliseconds, metavar="MS", help="limit on time per output token")
    group.add_argument(
        "--workload", choices=("inference", "training"), default="inference", help="plan for this"
    )
    group.add_argument("--engine", choices=ENGINES, default=None, help="whose rules and overheads hold")
    group.add_argument("--engine-version", type=version_text, metavar="V", help="such as 0.11.0")


def _add_output(parser: argparse.ArgumentParser, top: bool = True) -> None:
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="print JSON (schema_version 1)")
    if top:
        group.add_argument("--top", type=positive_int, metavar="N", help="candidates to print")


def _deploy_options(parser: argparse.ArgumentParser) -> None:
    _add_source(parser)
    _add_plan(parser)
    _add_output(parser)
    parser.add_argument("--name", type=short_name, default=None, help="name of the deployment")
    parser.add_argument("--yes", action="store_true", default=False, help="do not ask before deploying")
    parser.add_argument(
        "--no-wait", action="store_true", default=False, help="return when the order was accepted"
    )
    parser.add_argument(
        "--port",
        type=positive_int,
        default=None,
        metavar="N",
        help="port of the router (default: a free one)",
    )


def _status_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", type=short_name, default=None, help="one deployment (default: all)"
    )
    _add_source(parser)
    _add_output(parser, top=False)


def _stop_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", type=short_name, default=None, help="the deployment to stop")
    parser.add_argument(
        "--all", action="store_true", default=False, help="stop every deployment of clusterview"
    )
    parser.add_argument("--yes", action="store_true", default=False, help="do not ask before stopping")
    parser.add_argument("--dry-run", action="store_true", help="say what would be stopped, and stop nothing")
    _add_source(parser)


def _snapshot_options(parser: argparse.ArgumentParser) -> None:
    _add_source(parser)
    parser.add_argument("-o", "--output", default=None, metavar="FILE", help="write there (default: stdout)")


def _doctor_options(parser: argparse.ArgumentParser) -> None:
    _add_source(parser)
    _add_output(parser, top=False)


_SUMMARIES = {
    "deploy": "deploy the recommended (or pinned) layout and wait until it is ready",
    "status": "show deployments, ranks and throughput",
    "stop": "stop a deployment and free its GPUs",
    "snapshot": "write the cluster as it is now, for --cluster FILE",
    "doctor": "say what of this machine and its cluster can be used, and what is in the way",
}
_VERB_OPTIONS = {
    "deploy": _deploy_options,
    "status": _status_options,
    "stop": _stop_options,
    "snapshot": _snapshot_options,
    "doctor": _doctor_options,
}


class _ShowVersion(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"clusterview {version('clusterview')}")
        parser.exit()
