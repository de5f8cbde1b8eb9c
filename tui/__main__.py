"""Where `clusterview` starts: the terminal app, or the same planner without a screen."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


_INTERRUPTED = 130
_SYSTEM_FAILED = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run `clusterview` with these arguments (default: the process's own); returns the exit status."""
    try:
        from cluster.cli.faults import guarded
        from cluster.streams import settle_streams
    except KeyboardInterrupt:
        return _INTERRUPTED
    except ImportError as error:
        # For example another package named `cluster` came first on the path.
        sys.stderr.write(f"clusterview: its own modules cannot be imported: {error}. {_imported_from()}\n")
        return _SYSTEM_FAILED
    settle_streams()
    return guarded(lambda: _parse_and_run(argv))


def _imported_from() -> str:
    found = getattr(sys.modules.get("cluster"), "__path__", None)
    place = f"Python finds another package named cluster in {next(iter(found))}: " if found else ""
    return f"{place}check PYTHONPATH and the folder you started in, or install clusterview again"


def _parse_and_run(argv: Sequence[str] | None) -> int:
    from cluster.cli.arguments import parse_arguments

    return _run(parse_arguments(argv))


def _run(arguments: argparse.Namespace) -> int:
    from cluster.cli.main import run

    if arguments.verb or arguments.dry_run:
        return run(arguments)
    from tui.start import open_app

    return open_app(arguments)


if __name__ == "__main__":
    sys.exit(main())
