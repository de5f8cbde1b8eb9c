"""Opening the app: which session, which model, and what to do where there is no terminal."""

from __future__ import annotations

import argparse
import dataclasses
import gc
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

from cluster.cli.defaults import read_defaults
from cluster.packages import require
from tui.exit_message import exit_lines

if TYPE_CHECKING:
    from cluster.bridge.session import Session
    from tui.planner.process import PlannerProcess
    from tui.setup import Setup

_GARBAGE_THRESHOLDS = (5_000, 20, 200)
"""Of the three generations, as gc.set_threshold takes them."""


def open_app(arguments: argparse.Namespace) -> int:
    """Open the screen on the cluster that the arguments name; 0 when the user has left it.

    Raises BadInput before the screen opens when the arguments name a cluster that cannot be.
    """
    from cluster.cli.open_source import check_replay_options, session_from

    check_replay_options(arguments)
    # Textual draws on stderr, so all three must be the terminal.
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        return _print_instead(arguments)
    require("textual")
    from cluster.cli.resolve import engine_pythons_from
    from tui.planner.process import PlannerProcess
    from tui.replay import replay_of

    planner = PlannerProcess()
    try:
        pythons = engine_pythons_from(arguments)
        session = session_from(arguments, pythons)
        setup = make_setup(arguments, pythons, planner)
        if (replay := replay_of(session)) is not None:
            # Ages are counted to the moment that is shown; there is no cluster to join again.
            setup = dataclasses.replace(setup, clock=replay.now_s, reopen=None, open_simulated=None)
        # After our own imports, beside the first picture: earlier it delays that, later the first plan.
        planner.start()
        return run_screen(session, setup)
    finally:
        planner.close()


def open_simulated() -> Session:
    """Open the simulated cluster of the defaults."""
    from cluster.bridge import open_session

    return open_session(address=None, simulate=read_defaults().simulated_cluster)


def make_setup(
    arguments: argparse.Namespace, engine_pythons: dict[str, str], planner: PlannerProcess
) -> Setup:
    """Collect what the app is opened with; `planner` answers its questions."""
    from cluster.cli.open_source import session_from
    from cluster.cli.resolve import request_from
    from tui.deploy_spec import order_now
    from tui.glyphs import wants_ascii
    from tui.setup import Example, Setup

    defaults = read_defaults()
    return Setup(
        models=(arguments.model,) if arguments.model else defaults.models,
        request=request_from(arguments),
        plan=planner,
        make_spec=partial(order_now, engine_pythons=engine_pythons),
        address_options=("--address", arguments.address) if arguments.address else (),
        reopen=lambda: session_from(arguments, engine_pythons),
        ascii_only=bool(getattr(arguments, "ascii", False)) or wants_ascii(),
        examples=tuple(Example(model, cluster) for model, cluster in defaults.examples),
        open_simulated=open_simulated,
        simulated_name=defaults.simulated_cluster,
        simulate_without_gpus=bool(getattr(arguments, "demo", False)),
    )


def run_screen(session: Session, setup: Setup) -> int:
    """Run the app; whatever happens, close the session and print what keeps running.

    Raises the exception that ended the app, if any, once the terminal is restored.
    """
    from tui.app import ClusterviewApp

    app = ClusterviewApp(session, setup)
    # A full collection walks every object of a large cluster, which a key would wait for: make it rare.
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    try:
        app.run()
    finally:
        # A second signal must not interrupt the cleanup.
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        app.context.session.close()
    left, orders = app.context, app.main_screen.orders.open
    for line in exit_lines(left.store.snapshot, orders, left.address_options):
        sys.stdout.write(f"{line}\n")
    if app.fault is not None:
        raise app.fault
    return app.return_code or 0


def _print_instead(arguments: argparse.Namespace) -> int:
    """Print the cluster and the plan where there is no terminal to draw on."""
    from cluster.cli.dry_run import run_dry_run

    sys.stderr.write("Not a terminal: printing the cluster and the plan as text.\n")
    run_dry_run(arguments)
    return 0
