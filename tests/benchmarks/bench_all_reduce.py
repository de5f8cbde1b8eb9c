"""TP=2 all-reduce through RankGroup, compared with bare torch.distributed in the same two processes."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

CALLS_PER_ROUND = 50
NUM_ROUNDS = 80
# Elements of a decode step's hidden state: a simulated cluster's, 8B's, and 70B's with eight sequences.
SIZES = {"64 x 1": 64, "4096 x 1": 4096, "8192 x 8": 8 * 8192}


def main() -> None:
    """Print a ratio for each size (target: at most 1.05)."""
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for rank in range(2):
        ours, theirs = context.Pipe()
        process = context.Process(target=_play_rank, args=(rank, theirs))
        process.start()
        pipes.append(ours)
        processes.append(process)
    pipes[1].send(pipes[0].recv())
    for name, (ratio, ours_s, bare_s) in pipes[0].recv().items():
        print(
            f"engine / bare all-reduce, {name}: {ratio:.3f}"
            f"  (target <= 1.05; {ours_s * 1e6:.0f} µs / {bare_s * 1e6:.0f} µs)"
        )
    for process in processes:
        process.join()


def _play_rank(rank: int, pipe: Connection) -> None:
    import torch
    import torch.distributed as dist

    from cluster.runtime.rank_group import RankGroup
    from cluster.runtime.rendezvous import find_free_port

    if rank == 0:
        host, port = find_free_port()
        where = f"tcp://{host}:{port}"
        pipe.send(where)
    else:
        where = pipe.recv()
    group = RankGroup(tp=2, pp=1, tp_rank=rank, stage=0, device=torch.device("cpu"))
    group.join(where, timeout_s=60, plan_capacity=64)
    results = {}
    for name, elements in SIZES.items():
        hidden = torch.zeros(elements)
        results[name] = _compare(lambda h=hidden: group.all_reduce(h), lambda h=hidden: dist.all_reduce(h))
    if rank == 0:
        pipe.send(results)
    group.close()


def _compare(ours: Callable[[], Any], bare: Callable[[], Any]) -> tuple[float, float, float]:
    """Alternate rounds of both and return (ratio, our seconds, bare seconds) per call.

    Compares lower quartiles: two processes that wait for each other amplify outside disturbances, so the
    undisturbed rounds are the informative ones.
    """
    _round_s(ours)
    _round_s(bare)
    pairs = [_pair_s(ours, bare, ours_first=number % 2 == 0) for number in range(NUM_ROUNDS)]
    ours_s, bare_s = (statistics.quantiles(times, n=4)[0] for times in zip(*pairs, strict=True))
    return ours_s / bare_s, ours_s, bare_s


def _pair_s(ours: Callable[[], Any], bare: Callable[[], Any], ours_first: bool) -> tuple[float, float]:
    """Time one round of each. The order alternates, because the second one runs on a warmer machine."""
    if ours_first:
        return _round_s(ours), _round_s(bare)
    bare_s = _round_s(bare)
    return _round_s(ours), bare_s


def _round_s(call: Callable[[], Any]) -> float:
    started_s = time.perf_counter()
    for _ in range(CALLS_PER_ROUND):
        call()
    return (time.perf_counter() - started_s) / CALLS_PER_ROUND


if __name__ == "__main__":
    main()
