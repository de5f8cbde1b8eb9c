"""`clusterview --once`: every GPU as it is now, as a table or as JSON."""

from __future__ import annotations

import argparse
import json
import sys

from cluster.cli.live_view import LiveView
from cluster.cli.once_json import live_json
from cluster.cli.once_table import live_lines
from cluster.cli.open_source import saved_state, session_from
from cluster.cli.style import style_for_stdout
from cluster.metrics.live_state import LiveState

_CLEAR = "\x1b[H\x1b[2J"
"""Cursor home, erase the screen: what `watch` does."""


def run_once(arguments: argparse.Namespace) -> int:
    """Print the state of now, or of a moment of a recording; with --watch again and again. Returns 0."""
    saved = saved_state(arguments)
    if saved is not None:
        _print(saved, arguments)
        return 0
    with LiveView(session_from(arguments), shows_progress=sys.stderr.isatty()) as view:
        _print(view.settled(), arguments)
        while arguments.watch is not None:
            # Raises when the cluster is lost.
            view.wait(lambda: False, arguments.watch)
            _print(view.now(), arguments)
    return 0


def _print(live: LiveState, arguments: argparse.Namespace) -> None:
    if arguments.json:
        # A line each when there are many, so that a reader can take them one by one.
        indent = None if arguments.watch is not None else 2
        print(json.dumps(live_json(live), indent=indent, allow_nan=False), flush=True)
        return
    if arguments.watch is not None and sys.stdout.isatty():
        sys.stdout.write(_CLEAR)
    print("\n".join(live_lines(live, style_for_stdout())), flush=True)
    if arguments.watch is not None and not sys.stdout.isatty():
        print(flush=True)
