"""An engine as a process: from the key press to its first log line, and from its death to serving again.

On a real Ray node with a fake vLLM, which starts in a fraction of a second: what is measured is ours.
"""

from __future__ import annotations

import os
import signal
import statistics
import time

from cluster.deploy.status import ReplicaStatus
from tests.benchmarks.engine_cluster import LIMIT_S, EngineCluster, engine_cluster
from tests.fake_engine.python import engine_processes

ROUNDS = 5
LINE_TARGET_S, HEALED_TARGET_S = 3.0, 10.0


def main() -> None:
    """Print both times of each round, and their medians beside the targets."""
    with engine_cluster(num_gpus=2) as cluster:
        print(f"  {os.cpu_count()} cores; an order starts a process of Ray per GPU and one more")
        for tp in (1, 2):
            lines_s = [_to_first_line(cluster, f"line-{tp}-{number}", tp) for number in range(ROUNDS)]
            _print(f"order to the engine's first log line, TP={tp}", lines_s, LINE_TARGET_S)
        cluster.deploy(cluster.order("heal", dp=2))
        healed_s = [_to_healed(cluster, number + 1) for number in range(ROUNDS)]
        _print("killed server to serving again", healed_s, HEALED_TARGET_S)
        cluster.view.session.stop("heal").result(LIMIT_S)


def _print(what: str, values_s: list[float], target_s: float) -> None:
    each = ", ".join(f"{value:.2f}" for value in values_s)
    median_s = statistics.median(values_s)
    print(f"{what}: median {median_s:.2f} s of {each}  (target < {target_s:.0f} s)", flush=True)


def _to_first_line(cluster: EngineCluster, name: str, tp: int) -> float:
    """Return the seconds from the order to the first line in the deployment's log, as a screen reads it."""
    spec = cluster.order(name, tp=tp)
    began_s = time.perf_counter()
    ordered = cluster.view.session.deploy(spec)
    parts: dict[str, float] = {}
    while "line" not in parts:
        now_s = time.perf_counter() - began_s
        assert now_s < LIMIT_S, cluster.view.find(name)
        if ordered.done():
            parts.setdefault("submitted", now_s)
        if engine_processes(cluster.python):
            parts.setdefault("server process", now_s)
        if ordered.done() and _has_line(cluster, name):
            parts["line"] = time.perf_counter() - began_s
        time.sleep(0.02)
    print("  " + ", ".join(f"{part} after {at_s:.2f} s" for part, at_s in parts.items()), flush=True)
    assert cluster.view.wait(lambda: cluster.is_ready(name), LIMIT_S)
    cluster.view.session.stop(name).result(LIMIT_S)
    return parts["line"]


def _has_line(cluster: EngineCluster, name: str) -> bool:
    try:
        return bool(cluster.view.session.logs(name, 0, 0, 0, 1).result(LIMIT_S).lines)
    except Exception:  # the controller has not started the replica yet
        return False


def _to_healed(cluster: EngineCluster, restarts: int) -> float:
    """Kill one of two servers; return the seconds until its replica is ready again."""
    os.kill(engine_processes(cluster.python, "server")[0].pid, signal.SIGKILL)
    began_s = time.perf_counter()

    def is_healed() -> bool:
        return cluster.is_ready("heal") and sum(one.restarts for one in _replicas(cluster)) == restarts

    assert cluster.view.wait(is_healed, LIMIT_S), cluster.view.find("heal")
    return time.perf_counter() - began_s


def _replicas(cluster: EngineCluster) -> tuple[ReplicaStatus, ...]:
    found = cluster.view.find("heal")
    return () if found is None else found.replicas


if __name__ == "__main__":
    main()
