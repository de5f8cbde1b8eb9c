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
    host_name,
    milliseconds,
    port_number,
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
LOAD_FORMATS = ("auto", "safetensors", "dummy")
DTYPES = ("auto", "bf16", "bfloat16", "fp16", "float16", "half", "fp32", "float32", "float")

_DESCRIPTION = """See a GPU cluster, plan a model's layout on it, deploy it with one key.
Without a verb the terminal app opens; with --dry-run the plan is printed instead."""
_EXAMPLES = """examples:
  clusterview --simulate 2x4xA100-80GB
  clusterview --dry-run --model llama-3.1-70b --cluster 2x4xA100-80GB
  clusterview --dry-run --model ./my-model --cluster 8xL40S --tp 8 --json
  clusterview deploy --simulate 2x4xA100-80GB --model llama-3.1-8b
  clusterview deploy --dry-run --address 10.0.0.1:6379 --model /models/my-model
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
    parser = build_parser()
    arguments = parser.parse_args(argv)
    _refuse_options_of_others(parser, arguments)
    return arguments


def _refuse_options_of_others(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """An option before a verb means what it means after it: one that the verb does not take is an error."""
    if arguments.verb is None:
        return
    verb = _verbs_of(parser)[arguments.verb]
    taken = {action.dest for action in verb._actions} | _HARMLESS_BEFORE_VERBS
    for action in parser._actions:
        given = getattr(arguments, action.dest, action.default)
        if action.option_strings and action.dest not in taken and given != action.default:
            option = action.option_strings[0]
            hint = "It changes nothing anyway" if option == "--dry-run" else f"See: {verb.prog} --help"
            raise BadInput(f"{option} has no meaning for {arguments.verb}", hint)


def _verbs_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (action,) = (one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    return dict(action.choices)


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
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="plan and print, without opening the app; with deploy or stop: say what would be done",
    )
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
    shared = {action.dest for action in parser._actions}
    for name, add_options in _VERB_OPTIONS.items():
        _add_verb(verbs, name, add_options, shared)
    return parser


def _add_verb(verbs: Any, name: str, add_options: Any, shared: set[str]) -> None:
    summary = _SUMMARIES[name]
    verb = verbs.add_parser(name, help=summary, description=summary, allow_abbrev=False)
    add_options(verb)
    # Defaults stand in the main parser: an option before the verb must survive the verb's own parsing.
    for action in verb._actions:
        if action.dest in shared:
            action.default = argparse.SUPPRESS
    verb.set_defaults(verb=name)


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
    group.add_argument(
        "--load-format",
        choices=LOAD_FORMATS,
        default="auto",
        help="weights of a deployment: the checkpoint's (auto, safetensors), or made-up ones (dummy)",
    )
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
    _add_dry_run(parser, "say what would be started and where, check the nodes, and start nothing")
    parser.add_argument("--name", type=short_name, default=None, help="name of the deployment")
    parser.add_argument("--yes", action="store_true", default=False, help="do not ask before deploying")
    parser.add_argument(
        "--no-wait", action="store_true", default=False, help="return when the order was accepted"
    )
    parser.add_argument(
        "--port",
        type=port_number,
        default=None,
        metavar="N",
        help="port of the router (default: a free one)",
    )
    _add_access(parser)


def _add_access(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("who may use the endpoint")
    group.add_argument(
        "--api-key",
        action="append",
        default=None,
        metavar="KEY",
        help="ask clients for this key, as in vLLM; other users can read a command line, so prefer a file "
        "or CLUSTERVIEW_API_KEY",
    )
    group.add_argument(
        "--api-key-file", type=some_text, default=None, metavar="FILE", help="keys, one a line"
    )
    group.add_argument(
        "--allowed-host",
        type=host_name,
        action="append",
        default=None,
        metavar="NAME",
        help="answer to this host name too, such as a reverse proxy's (default: localhost, 127.0.0.1)",
    )


def _add_dry_run(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--dry-run", action="store_true", help=text)


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
    _add_dry_run(parser, "say what would be stopped, and stop nothing")
    _add_source(parser)


def _snapshot_options(parser: argparse.ArgumentParser) -> None:
    _add_source(parser)
    parser.add_argument("--demo", action="store_true", help="a simulated cluster where there is no GPU")
    parser.add_argument("-o", "--output", default=None, metavar="FILE", help="write there (default: stdout)")


def _doctor_options(parser: argparse.ArgumentParser) -> None:
    _add_source(parser)
    _add_output(parser, top=False)


_HARMLESS_BEFORE_VERBS = {"ascii", "verb"}
"""What an alias may always add: it changes how the app draws, and a verb draws nothing."""

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
