"""The options of each verb."""

from __future__ import annotations

import argparse

from cluster.cli.option_types import (
    host_name,
    port_number,
    short_name,
    some_text,
)
from cluster.cli.options import add_output, add_plan, add_source


def _deploy_options(parser: argparse.ArgumentParser) -> None:
    add_source(parser)
    add_plan(parser)
    add_output(parser)
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
    add_source(parser)
    add_output(parser, top=False)


def _stop_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", type=short_name, default=None, help="the deployment to stop")
    parser.add_argument(
        "--all", action="store_true", default=False, help="stop every deployment of clusterview"
    )
    parser.add_argument("--yes", action="store_true", default=False, help="do not ask before stopping")
    _add_dry_run(parser, "say what would be stopped, and stop nothing")
    add_source(parser)


def _snapshot_options(parser: argparse.ArgumentParser) -> None:
    add_source(parser)
    parser.add_argument("--demo", action="store_true", help="a simulated cluster where there is no GPU")
    parser.add_argument("-o", "--output", default=None, metavar="FILE", help="write there (default: stdout)")


def _doctor_options(parser: argparse.ArgumentParser) -> None:
    add_source(parser)
    add_output(parser, top=False)


SUMMARIES = {
    "deploy": "deploy the recommended (or pinned) layout and wait until it is ready",
    "status": "show deployments, ranks and throughput",
    "stop": "stop a deployment and free its GPUs",
    "snapshot": "write the cluster as it is now, for --cluster FILE",
    "doctor": "say what of this machine and its cluster can be used, and what is in the way",
}
VERB_OPTIONS = {
    "deploy": _deploy_options,
    "status": _status_options,
    "stop": _stop_options,
    "snapshot": _snapshot_options,
    "doctor": _doctor_options,
}
