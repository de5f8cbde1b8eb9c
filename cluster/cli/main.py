"""Commands without a screen: `--dry-run` and the verbs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from importlib import import_module

from cluster.cli.arguments import parse_arguments
from cluster.cli.faults import guarded
from cluster.cli.open_source import check_replay_options

Action = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line without a screen; without a verb it is a dry run. Returns the exit status."""
    return guarded(lambda: run(parse_arguments(argv)))


def run(arguments: argparse.Namespace) -> int:
    """Carry out a parsed command. The verb's module is imported only now, since some are heavy."""
    check_replay_options(arguments)
    if arguments.verb is None and arguments.once:
        from cluster.cli.once import run_once

        return run_once(arguments)
    if arguments.verb is None:
        from cluster.cli.dry_run import run_dry_run

        return run_dry_run(arguments)
    action: Action = import_module(f"cluster.cli.{arguments.verb}").run
    return action(arguments)
