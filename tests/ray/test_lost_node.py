"""A node dies: its readings and its replica say so, and the other replica keeps serving."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from cluster.bridge.open_session import open_session
from cluster.cli.session_view import SessionView
from cluster.inventory import Node
from tests.ray.conftest import record_of
from tests.ray.support import START_S, order, processes_of, ranks_in, wait_until

pytestmark = pytest.mark.ray

SPEC = "2x1xL4"
NOTICED_S = 60.0


def test_a_lost_node_ends_only_its_own_replica(state_dir: Path) -> None:
    with SessionView(open_session(address=None, simulate=SPEC), shows_progress=False) as view:
        cluster = view.settled_cluster(START_S)
        folder = record_of(SPEC).temp_dir
        spec = order(cluster, "pair", [[(0, 0)], [(1, 0)]], planned_bytes=2**30)
        view.session.deploy(spec).result(START_S)
        assert view.wait(lambda: ranks_in(view.find("pair"), "ready") == 2, START_S), view.find("pair")

        dead = cluster.nodes[1].node_id
        (raylet,) = [pid for pid, command in processes_of(folder).items() if f"--node_id={dead}" in command]
        os.kill(raylet, signal.SIGKILL)

        def noticed() -> bool:
            status = view.find("pair")
            return status is not None and status.state == "degraded" and "left the cluster" in status.reason

        assert view.wait(noticed, NOTICED_S), view.find("pair")
        states = {reading.node_id: reading.state for reading in view.readings}
        assert states == {cluster.nodes[0].node_id: "ok", dead: "lost"}

        def gone() -> Node:
            assert view.cluster is not None
            return next(node for node in view.cluster.nodes if node.node_id == dead)

        # It stays in the inventory, with what ran there, and is not planned on.
        assert view.wait(lambda: gone().left is not None, NOTICED_S), gone()
        left = gone().left
        assert left is not None
        assert any("pair" in held for held in left.held), left
        assert not any(gpu.usable for gpu in gone().gpus)
        assert ranks_in(view.find("pair"), "ready") == 1
        view.session.stop("pair").result(START_S)
    assert wait_until(lambda: not processes_of(folder), 20), processes_of(folder)
