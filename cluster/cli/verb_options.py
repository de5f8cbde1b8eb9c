"""The options of each verb."""

from __future__ import annotations

import argparse

from cluster.cli.load_options import load_options
from cluster.cli.option_types import (
    drain_seconds,
    host_name,
    index_number,
    port_number,
    positive_int,
    replica_count,
    short_name,
    some_text,
)
from cluster.cli.options import add_observe, add_output, add_plan, add_source
from cluster.cli.replay_options import add_replay, duration
from cluster.deploy.drain import SCALE_DRAIN_S, STOP_DRAIN_S
from cluster.export.names import format_names


def _deploy_options(parser: argparse.ArgumentParser) -> None:
    add_source(parser)
    add_plan(parser)
    add_output(parser)
    _add_dry_run(parser, "show what would be started and where, check the nodes, start nothing")
    parser.add_argument("--name", type=short_name, default=None, help="name of the deployment")
    parser.add_argument("--yes", action="store_true", default=False, help="do not ask before deploying")
    parser.add_argument(
        "--no-wait", action="store_true", default=False, help="return once the deployment is accepted"
    )
    parser.add_argument(
        "--engine-arg",
        action="append",
        default=None,
        metavar="ARG",
        help="pass one more argument to the engine's server: --engine-arg=--trust-remote-code",
    )
    _add_access(parser, "the router", "router port (default: any free port)")


def _add_access(parser: argparse.ArgumentParser, whose: str, port: str) -> None:
    group = parser.add_argument_group("endpoint access")
    group.add_argument(
        "--host",
        type=host_name,
        default=None,
        metavar="HOST",
        help=f"address that {whose} listens on (default: 127.0.0.1); any other needs an API key",
    )
    group.add_argument("--port", type=port_number, default=None, metavar="N", help=port)
    group.add_argument(
        "--api-key",
        action="append",
        default=None,
        metavar="KEY",
        help="require this key from clients, as in vLLM; other users can see command lines, so prefer a "
        "file or CLUSTERVIEW_API_KEY",
    )
    group.add_argument(
        "--api-key-file", type=some_text, default=None, metavar="FILE", help="file with one key per line"
    )
    group.add_argument(
        "--allowed-host",
        type=host_name,
        action="append",
        default=None,
        metavar="NAME",
        help="also accept this host name, such as a reverse proxy's (default: localhost, 127.0.0.1)",
    )


def _add_dry_run(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--dry-run", action="store_true", help=text)


def _status_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", type=short_name, default=None, help="name of one deployment (default: all)"
    )
    add_source(parser)
    add_output(parser, top=False)


def _stop_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", type=short_name, default=None, help="name of the deployment to stop"
    )
    parser.add_argument(
        "--all", action="store_true", default=False, help="stop all deployments started by clusterview"
    )
    parser.add_argument("--yes", action="store_true", default=False, help="do not ask before stopping")
    _add_drain(parser, STOP_DRAIN_S, "the deployment")
    _add_dry_run(parser, "show what would be stopped, stop nothing")
    add_source(parser)


def _scale_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", type=short_name, help="name of the deployment")
    parser.add_argument("replicas", type=replica_count, metavar="N", help="replicas it should run")
    parser.add_argument("--yes", action="store_true", default=False, help="do not ask before replicas end")
    _add_drain(parser, SCALE_DRAIN_S, "a replica that ends")
    add_source(parser)
    add_output(parser, top=False)


def _add_drain(parser: argparse.ArgumentParser, default_s: float, whose: str) -> None:
    parser.add_argument(
        "--drain-timeout",
        type=drain_seconds,
        default=default_s,
        metavar="S",
        help=f"seconds that requests in flight with {whose} may go on (default: {default_s:.0f})",
    )


def _calibrate_options(parser: argparse.ArgumentParser) -> None:
    add_source(parser)
    add_output(parser, top=False)
    parser.add_argument(
        "--show", action="store_true", default=False, help="list what was measured before, measure nothing"
    )


def _logs_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", type=short_name, help="name of the deployment")
    parser.add_argument(
        "--replica", type=index_number, default=None, metavar="N", help="only this replica (default: all)"
    )
    parser.add_argument(
        "--rank",
        type=index_number,
        default=None,
        metavar="N",
        help="only the server that runs this rank of the replica (default replica: 0)",
    )
    parser.add_argument(
        "--node", type=some_text, default=None, metavar="NAME", help="only the servers on this node"
    )
    parser.add_argument(
        "-n",
        "--lines",
        type=positive_int,
        default=100,
        metavar="N",
        help="lines to print from the end of each log (default: 100)",
    )
    parser.add_argument(
        "-f", "--follow", action="store_true", default=False, help="print new lines until the deployment ends"
    )
    add_source(parser)


def _report_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", type=short_name, help="name of the deployment")
    parser.add_argument("-o", "--output", default=None, metavar="FILE", help="output file (default: stdout)")
    add_source(parser)


def _snapshot_options(parser: argparse.ArgumentParser) -> None:
    add_source(parser)
    add_replay(parser)
    add_observe(parser)
    parser.add_argument("--demo", action="store_true", help="use a simulated cluster if there is no GPU")
    parser.add_argument(
        "--no-calibration", action="store_true", help="leave out rates measured by `clusterview calibrate`"
    )
    parser.add_argument("-o", "--output", default=None, metavar="FILE", help="output file (default: stdout)")


def _record_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=some_text, metavar="FILE", help="file to write; --replay FILE plays it")
    parser.add_argument(
        "--duration",
        type=duration,
        default=None,
        metavar="T",
        help="end after 90s, 5m or 2h (default: Ctrl-C)",
    )
    parser.add_argument("--force", action="store_true", default=False, help="replace the file")
    add_source(parser)
    add_observe(parser)


def _metrics_options(parser: argparse.ArgumentParser) -> None:
    _add_access(parser, "the server", "port to serve on (default: print once and exit)")
    add_source(parser)
    add_observe(parser)


def _export_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format", required=True, choices=format_names(), help="what to write: " + ", ".join(format_names())
    )
    parser.add_argument(
        "--layout",
        type=positive_int,
        default=1,
        metavar="N",
        help="export the Nth best layout that fits (default: 1, the recommended one)",
    )
    parser.add_argument("-o", "--output", default=None, metavar="FILE", help="output file (default: stdout)")
    parser.add_argument("--force", action="store_true", default=False, help="replace the output file")
    parser.add_argument("--demo", action="store_true", help="use a simulated cluster if there is no GPU")
    add_source(parser)
    add_replay(parser)
    add_observe(parser)
    add_plan(parser)


def _doctor_options(parser: argparse.ArgumentParser) -> None:
    add_source(parser)
    add_observe(parser)
    add_output(parser, top=False)


SUMMARIES = {
    "deploy": "deploy the recommended (or pinned) layout and wait until it is ready",
    "status": "show deployments, ranks and throughput",
    "logs": "print what the engine of a deployment wrote, and follow it",
    "scale": "change the number of replicas of a deployment while it serves",
    "stop": "stop a deployment and free its GPUs",
    "load": "send a mix of requests to a deployment, and show what it takes beside the prediction",
    "calibrate": "measure what links and GPUs achieve, for every later plan of this cluster",
    "report": "write a deployment's measurements as a row of evidence that can be contributed",
    "export": "write a plan as commands or manifests to start it elsewhere",
    "record": "write what happens on a cluster into a file, for --replay FILE",
    "metrics": "print the cluster's state for Prometheus, or serve it with --port",
    "snapshot": "save the cluster as it is now, for --cluster FILE",
    "doctor": "check this machine and its cluster, and report problems",
}
VERB_OPTIONS = {
    "deploy": _deploy_options,
    "status": _status_options,
    "logs": _logs_options,
    "scale": _scale_options,
    "stop": _stop_options,
    "load": load_options,
    "calibrate": _calibrate_options,
    "report": _report_options,
    "export": _export_options,
    "record": _record_options,
    "metrics": _metrics_options,
    "snapshot": _snapshot_options,
    "doctor": _doctor_options,
}
