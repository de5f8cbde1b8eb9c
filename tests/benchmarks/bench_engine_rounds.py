"""Fifty rounds of deploy and stop of an engine that runs as processes: what grows from round to round?"""

from __future__ import annotations

import os
import time
from pathlib import Path

from cluster.process_table import descendants
from tests.benchmarks.engine_cluster import LIMIT_S, EngineCluster, engine_cluster
from tests.fake_engine.python import engine_processes
from tests.ray.victims import zombies_of

ROUNDS = 50
SHOWN_EACH = 10


def main() -> None:
    """Print, every ten rounds, what is there while nothing is deployed."""
    with engine_cluster(num_gpus=2, load_s=0.0) as cluster:
        print("round  processes  engine  zombies  groups  actors  files open  /dev/shm  /tmp  MB: ray, us")
        for number in range(ROUNDS + 1):
            if number % SHOWN_EACH == 0:
                _show(cluster, number)
            if number < ROUNDS:
                name = f"round-{number}"
                cluster.deploy(cluster.order(name, tp=2))
                cluster.view.session.stop(name).result(LIMIT_S)


def _show(cluster: EngineCluster, number: int) -> None:
    # Workers that Ray keeps for reuse end after about a second.
    time.sleep(4.0)
    of_ray = [pid for node in ("head", "gpus") for pid in cluster.ray.pids(node)]
    ours = [os.getpid(), *(pid for pid in descendants(os.getpid()) if pid not in of_ray)]
    zombies = sum(len(zombies_of(pid)) for pid in of_ray)
    held = cluster.ray_holds()
    files = sum(_num_open(pid) for pid in of_ray)
    counts = (
        len(of_ray),
        len(engine_processes(cluster.python)),
        zombies,
        len(held["groups"]),
        len(held["actors"]),
        files,
        _num_files("/dev/shm"),
        _num_files("/tmp"),
    )
    widths = (11, 8, 9, 8, 8, 12, 10, 6)
    shown = "".join(f"{count:>{width}}" for count, width in zip(counts, widths, strict=True))
    print(f"{number:>5}{shown}  {_resident_mb(of_ray):.0f}, {_resident_mb(ours):.0f}", flush=True)


def _num_files(folder: str) -> int:
    return len(list(Path(folder).iterdir()))


def _num_open(pid: int) -> int:
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return 0


def _resident_mb(pids: list[int]) -> float:
    pages = 0
    for pid in pids:
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
