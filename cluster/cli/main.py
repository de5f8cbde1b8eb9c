"""What runs without a screen: `--dry-run` and the verbs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from cluster.cli.arguments import parse_arguments
from cluster.errors import ClusterviewError
from cluster.text import clean

INTERRUPTED = 130
_LONGEST_LINE = 600

Action = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line without a screen; without a verb it is a dry run. Returns the exit status."""
    return guarded(lambda: run(parse_arguments(argv)))


def run(arguments: argparse.Namespace) -> int:
    """Carry out a parsed command. The verb's module is imported only now, since some are heavy."""
    if arguments.verb is None:
        from cluster.cli.dry_run import run_dry_run

        return run_dry_run(arguments)
    action: Action = import_module(f"cluster.cli.{arguments.verb}").run
    return action(arguments)


def guarded(action: Callable[[], int]) -> int:
    """Run `action`; turn what went wrong for the user into one line on stderr and an exit status."""
    try:
        status = action()
        sys.stdout.flush()
    except ClusterviewError as error:
        print(f"clusterview: {clean(error.one_line(), _LONGEST_LINE)}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`| head`). Python would complain again when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status
