"""Time from the order to ready: TP=4, DP=2 on a simulated cluster of two nodes with four GPUs each."""

from __future__ import annotations

import os
import tempfile
import time

from cluster.bridge.open_session import open_session
from cluster.catalog.models import load_model
from cluster.cli.session_view import SessionView
from cluster.deploy.order import OrderTerms, make_order
from cluster.planner.plan import plan
from cluster.planner.request import PlanRequest

SPEC = "2x4xA100-80GB"
MODEL = "llama-3.1-70b"
TARGET_S = 30.0
LIMIT_S = 180.0


def main() -> None:
    """Print how long joining, deploying and stopping take (target: ready within 30 s on 2 cores)."""
    with tempfile.TemporaryDirectory() as state:
        os.environ["CLUSTERVIEW_STATE_DIR"] = state
        started_s = time.perf_counter()
        with SessionView(open_session(address=None, simulate=SPEC), shows_progress=False) as view:
            cluster = view.settled_cluster(LIMIT_S)
            print(f"embedded cluster {SPEC} joined: {time.perf_counter() - started_s:.1f} s")
            answer = plan(cluster, load_model(MODEL), PlanRequest(tp=4, pp=1, dp=2))
            assert answer.recommended is not None
            spec = make_order(answer, answer.recommended, OrderTerms(time.time(), name="bench"))
            _measure(view, spec.name, lambda: view.session.deploy(spec).result(LIMIT_S), spec.label)
            stopping_s = time.perf_counter()
            view.session.stop(spec.name).result(LIMIT_S)
            print(f"stop to all GPUs free: {time.perf_counter() - stopping_s:.1f} s")


def _measure(view: SessionView, name: str, order: object, label: str) -> None:
    ordered_s = time.perf_counter()
    assert callable(order)
    order()

    def is_ready() -> bool:
        status = view.find(name)
        assert status is None or status.state != "failed", status
        return status is not None and status.state == "ready"

    assert view.wait(is_ready, LIMIT_S), view.find(name)
    took_s = time.perf_counter() - ordered_s
    print(f"order to ready, {label}: {took_s:.1f} s  (target < {TARGET_S:.0f} s on 2 cores)")


if __name__ == "__main__":
    main()
