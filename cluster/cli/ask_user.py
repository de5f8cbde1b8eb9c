"""Ask before something changes, if there is a terminal to ask on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from cluster.cli.session_view import say


def confirmed(arguments: argparse.Namespace, question: str, subjects: Sequence[str] = ()) -> bool:
    """Ask on stderr, after a line for each of the subjects, and return the answer; anything but yes is no.

    Returns True without asking with --yes, with --json, and without a terminal, so that scripts never block.
    """
    if arguments.yes or arguments.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    for subject in subjects:
        say(subject)
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    try:
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except UnicodeDecodeError:
        return False
