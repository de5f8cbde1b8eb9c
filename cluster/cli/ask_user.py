"""Asking before something changes: only where a person is there to answer."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from cluster.cli.session_view import say


def confirmed(arguments: argparse.Namespace, question: str, subjects: Sequence[str] = ()) -> bool:
    """Ask on stderr, after a line for each of the subjects, and return the answer; anything but yes is no.

    True without asking with --yes, with --json, and where no terminal is: scripts have nobody to ask.
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
