"""Opening the app: which session, which model, and what to do where there is no terminal."""

from __future__ import annotations

import argparse
import signal
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cluster.bridge.session import Session
    from tui.app import Setup


@dataclass(frozen=True, slots=True)
class Defaults:
    """What is shown before the user chose anything. Read from defaults.toml."""

    models: tuple[str, ...]
    simulated_cluster: str


def read_defaults() -> Defaults:
    """Read the defaults that lie beside this module."""
    table = tomllib.loads(files("tui").joinpath("defaults.toml").read_text("utf-8"))
    return Defaults(tuple(table["models"]), table["simulated_cluster"])


def open_app(arguments: argparse.Namespace) -> int:
    """Open the screen on the cluster that the arguments name; 0 when the user has left it."""
    if not (sys.stdout.isatty() and sys.stdin.isatty()):
        return _print_instead(arguments)
    session = choose_session(arguments)
    return run_screen(session, _setup(arguments))


def open_default(arguments: argparse.Namespace) -> int:
    """Open on this machine's GPUs, or on the simulated cluster where it has none."""
    return open_app(with_default_cluster(arguments))


def with_default_cluster(arguments: argparse.Namespace) -> argparse.Namespace:
    """Name the simulated cluster in arguments that name none, on a machine without GPUs."""
    named = any(getattr(arguments, name, None) for name in ("address", "simulate", "cluster"))
    if not named and not this_machine_has_gpus():
        arguments.simulate = read_defaults().simulated_cluster
    return arguments


def this_machine_has_gpus() -> bool:
    """Ask NVML, in a process of its own, whether this machine has GPUs."""
    from cluster.bridge.local_session import this_machine_has_gpus as ask

    return ask()


def choose_session(arguments: argparse.Namespace) -> Session | None:
    """Build the session that the arguments name; None on a machine without GPUs when they name none."""
    simulate, address = getattr(arguments, "simulate", None), getattr(arguments, "address", None)
    source = getattr(arguments, "cluster", None)
    if source:
        from cluster.bridge.file_session import FileSession

        return FileSession(source)
    if simulate or address:
        from cluster.bridge import open_session

        return open_session(address=address, simulate=simulate)
    if this_machine_has_gpus():
        from cluster.bridge.local_session import LocalSession

        return LocalSession()
    return None


def open_simulated() -> Session:
    """Open the simulated cluster of the defaults."""
    from cluster.bridge import open_session

    return open_session(address=None, simulate=read_defaults().simulated_cluster)


def run_screen(session: Session | None, setup: Setup) -> int:
    """Run the app; whatever happens, the session is closed and the user hears what goes on without it."""
    from tui.app import ClusterviewApp

    app = ClusterviewApp(session, setup)
    try:
        app.run()
    finally:
        # A second signal must not cut the closing short.
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if app.session is not None:
            app.session.close()
    _say_goodbye(app.store.snapshot.deployments)
    return app.return_code or 0


def _say_goodbye(deployments: object) -> None:
    from cluster.deploy.status import DeploymentStatus

    assert isinstance(deployments, tuple)
    for status in deployments:
        assert isinstance(status, DeploymentStatus)
        where = f" at {status.endpoint}" if status.endpoint else ""
        sys.stdout.write(f"{status.name} goes on{where}. End it with: clusterview stop {status.name}\n")


def _setup(arguments: argparse.Namespace) -> Setup:
    from cluster.planner.request import PlanRequest
    from tui.app import Setup
    from tui.glyphs import wants_ascii

    model = getattr(arguments, "model", None)
    return Setup(
        models=(model,) if model else read_defaults().models,
        request=PlanRequest(),
        ascii_only=bool(getattr(arguments, "ascii", False)) or wants_ascii(),
        open_simulated=open_simulated,
    )


def _print_instead(arguments: argparse.Namespace) -> int:
    """Print the cluster and the plan where there is no terminal to draw on."""
    from cluster.cli.dry_run import run_dry_run

    sys.stderr.write("No terminal here: the cluster and the plan follow as text.\n")
    run: Callable[[argparse.Namespace], int] = run_dry_run
    run(with_default_cluster(arguments))
    return 0
