"""The command line of `clusterview`: verbs and options, and errors in one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from cluster.cli.options import add_observe, add_output, add_plan, add_source
from cluster.cli.replay_options import add_once, add_replay
from cluster.cli.verb_options import SUMMARIES, VERB_OPTIONS
from cluster.errors import BadInput

_HARMLESS_BEFORE_VERBS = {"ascii", "verb"}
"""Accepted before any verb, so that an alias may always add it: it only changes how the app draws."""

_DESCRIPTION = """See a GPU cluster, plan a model's layout on it, deploy it with one key.
Without a verb the terminal app opens; with --dry-run the plan is printed instead."""
_EXAMPLES = """examples:
  clusterview --simulate 2x4xA100-80GB
  clusterview --dry-run --model llama-3.1-70b --cluster 2x4xA100-80GB
  clusterview --dry-run --model ./my-model --cluster 8xL40S --tp 8 --json
  clusterview deploy --simulate 2x4xA100-80GB --model llama-3.1-8b
  clusterview deploy --dry-run --address 10.0.0.1:6379 --model /models/my-model
exit status: 0 success (for a plan: a layout fits), 1 no layout fits or the deployment failed, 2 bad input,
3 system error (disk, stream, permission, limits, missing package), 4 a bug in clusterview, 130 interrupted"""


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are BadInput instead of a usage text and an exit."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(message, f"See: {self.prog} --help")

    def print_help(self, file: Any = None) -> None:
        """Write the help; argparse itself would ignore a failed write."""
        (file or sys.stdout).write(self.format_help())


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of `argv` (default: the process's own); BadInput says which one is wrong."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    _refuse_options_of_others(parser, arguments)
    return arguments


def _refuse_options_of_others(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Raise BadInput for an option before the verb that the verb does not take."""
    if arguments.verb is None:
        return
    verb = _verbs_of(parser)[arguments.verb]
    taken = {action.dest for action in verb._actions} | _HARMLESS_BEFORE_VERBS
    for action in parser._actions:
        given = getattr(arguments, action.dest, action.default)
        if action.option_strings and action.dest not in taken and given != action.default:
            option = action.option_strings[0]
            hint = "It never changes anything" if option == "--dry-run" else f"See: {verb.prog} --help"
            raise BadInput(f"{arguments.verb} does not take {option}", hint)


def _verbs_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (action,) = (one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    return dict(action.choices)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with all verbs. Options before the verb count for it too."""
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
        help="print the plan instead of opening the app; with deploy or stop: only show what would be done",
    )
    parser.add_argument(
        "--demo",
        action="store_true",
        help="use this machine's GPUs, or a simulated cluster where there are none",
    )
    parser.add_argument("--ascii", action="store_true", help="draw the app without box and block characters")
    add_source(parser)
    add_replay(parser)
    add_once(parser)
    add_observe(parser)
    add_plan(parser)
    add_output(parser)
    verbs = parser.add_subparsers(metavar="VERB", parser_class=OneLineParser, title="verbs")
    shared = {action.dest for action in parser._actions}
    for name, add_options in VERB_OPTIONS.items():
        _add_verb(verbs, name, add_options, shared)
    return parser


def _add_verb(verbs: Any, name: str, add_options: Any, shared: set[str]) -> None:
    summary = SUMMARIES[name]
    verb = verbs.add_parser(name, help=summary, description=summary, allow_abbrev=False)
    add_options(verb)
    # Defaults stand in the main parser: an option before the verb must survive the verb's own parsing.
    for action in verb._actions:
        if action.dest in shared:
            action.default = argparse.SUPPRESS
    verb.set_defaults(verb=name)


class _ShowVersion(argparse.Action):
    """Looks up the version only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"clusterview {version('clusterview')}")
        parser.exit()
