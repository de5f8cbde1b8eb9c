"""Where `clusterview` starts: the terminal app, or the same planner without a screen."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run `clusterview` with these arguments (default: the process's own); returns the exit status."""
    try:
        from cluster.cli.arguments import parse_arguments
        from cluster.cli.main import guarded

        return guarded(lambda: _run(parse_arguments(argv)))
    except KeyboardInterrupt:
        return _INTERRUPTED


def _run(arguments: argparse.Namespace) -> int:
    from cluster.cli.main import run

    if arguments.verb or arguments.dry_run:
        return run(arguments)
    from tui.start import open_app

    return open_app(arguments)


if __name__ == "__main__":
    sys.exit(main())
