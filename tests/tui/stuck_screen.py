"""Opens the screen with a planner that does what the model's name says. Run by tests on a real terminal."""

from __future__ import annotations

import sys

from cluster.cli.faults import guarded
from tests.tui.builders import make_cluster, make_spec, opening_events
from tests.tui.fake_session import FakeSession
from tui.planner.process import PlannerProcess
from tui.setup import Setup
from tui.start import run_screen


def main() -> int:
    """Run the screen until it is left."""
    planner = PlannerProcess("tests.tui.odd_planner")
    try:
        planner.start()
        session = FakeSession(opening_events(make_cluster()))
        return run_screen(session, Setup(models=(sys.argv[1],), plan=planner, make_spec=make_spec))
    finally:
        planner.close()


if __name__ == "__main__":
    sys.exit(guarded(main))
