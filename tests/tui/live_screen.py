"""Opens the screen on a cluster of N nodes of 8 GPUs with a fresh, equal reading of all each second.

Run on a real terminal by tests: `python -m tests.tui.live_screen NODES [broken]`. With `broken` the key v
ends in a fault of the program's own.
"""

from __future__ import annotations

import sys
import threading
import time

from cluster.bridge.events import ClusterSeen, ReadingsSeen
from cluster.cli.faults import guarded
from tests.tui.builders import make_cluster, make_plan, make_readings, make_spec
from tests.tui.fake_session import FakeSession
from tui.setup import Setup
from tui.start import run_screen
from tui.widgets.cluster_map import ClusterMap

_EVERY_S = 1.0


def fresh(readings: ReadingsSeen) -> ReadingsSeen:
    """Return the readings as taken now."""
    now_s = time.time()
    return ReadingsSeen(nodes=tuple(node.model_copy(update={"taken_at_s": now_s}) for node in readings.nodes))


def main() -> int:
    """Run the screen until it is left."""
    cluster = make_cluster(int(sys.argv[1]), 8)
    readings = make_readings(cluster)
    session = FakeSession((ClusterSeen(cluster=cluster), fresh(readings)))
    over = threading.Event()

    def read_each_second() -> None:
        while not over.wait(_EVERY_S):
            if session.started:  # on a busy machine the screen takes longer than that to open
                session.say(fresh(readings))

    if "broken" in sys.argv:
        ClusterMap.next_density = _fail  # type: ignore[method-assign]
    threading.Thread(target=read_each_second, daemon=True).start()
    try:
        return run_screen(session, Setup(models=("m",), plan=make_plan, make_spec=make_spec))
    finally:
        over.set()


def _fail(_: ClusterMap) -> None:
    raise RuntimeError("of our own\x1b]2;OWNED\x07")


if __name__ == "__main__":
    sys.exit(guarded(main))
