"""Where `clusterview` starts: the terminal app, or the same planner without a screen."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


_INTERRUPTED = 130
_SYSTEM_FAILED = 3
_OURS = ("cluster", "tui")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `clusterview` with these arguments (default: the process's own); returns the exit status."""
    try:
        from cluster.cli.faults import guarded
        from cluster.streams import settle_streams
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:
        # For example another package named `cluster` came first on the path.
        sys.stderr.write(f"clusterview: {_why_not_imported(error)}\n")
        return _SYSTEM_FAILED
    settle_streams()
    return guarded(lambda: _parse_and_run(argv))


def _why_not_imported(error: Exception) -> str:
    try:
        from cluster.installation import damage
        from cluster.packages import import_failed

        if isinstance(error, ImportError) and (error.name or "cluster").partition(".")[0] not in _OURS:
            return import_failed(error).one_line()
        if (found := damage()) is not None:
            return ". ".join(found)
    except Exception:
        pass
    return _other_package(error)


def _other_package(error: Exception) -> str:
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    module = sys.modules.get("cluster")
    place = f" from {next(iter(module.__path__))}" if module else ""
    other = (
        "" if hasattr(module, "DISTRIBUTION") else f": Python imports another package named cluster{place}"
    )
    return (
        f"its own modules cannot be imported{other} ({reason}). "
        "Check PYTHONPATH and the folder you started in, or install clusterview again"
    )


def _parse_and_run(argv: Sequence[str] | None) -> int:
    from cluster.cli.arguments import parse_arguments

    return _run(parse_arguments(argv))


def _run(arguments: argparse.Namespace) -> int:
    from cluster.cli.main import run

    if arguments.verb or arguments.dry_run or arguments.once:
        return run(arguments)
    from tui.start import open_app

    return open_app(arguments)


if __name__ == "__main__":
    sys.exit(main())
