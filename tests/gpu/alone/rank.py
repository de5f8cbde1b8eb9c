"""One rank of the built-in engine: reads its order from stdin; the leader measures, and prints the result."""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

from cluster.runtime.generation import GenerationRequest, TokenEvent
from cluster.runtime.rank_worker import RankWorker

_GROUP_S = 120.0


def main() -> None:
    """Join, load, warm up; then serve until the leader has measured."""
    order = json.loads(sys.stdin.readline())
    began_s = time.perf_counter()
    worker = RankWorker(
        order["source"],
        **{name: order[name] for name in ("tp", "pp", "tp_rank", "stage", "device", "dtype")},
        **{name: order[name] for name in ("max_model_len", "max_num_seqs")},
        layers=None if order["layers"] is None else tuple(order["layers"]),
    )
    worker.join(order["where"] if order["tp"] * order["pp"] > 1 else "", _GROUP_S)
    worker.load(lambda fraction: None)
    worker.warm_up()
    load_s = time.perf_counter() - began_s
    if not worker.is_leader:
        worker.run()
        return
    print("loaded", flush=True)
    runner = threading.Thread(target=worker.run)
    runner.start()
    try:
        result = _measure(worker, order["shape"])
    finally:
        worker.stop()
        runner.join(_GROUP_S)
    print("RESULT " + json.dumps({"load_s": load_s, **result}), flush=True)


def _measure(worker: RankWorker, shape: dict[str, int]) -> dict[str, Any]:
    request = GenerationRequest(
        tuple(1 + number % 200 for number in range(shape["input_tokens"])),
        max_tokens=shape["output_tokens"],
        ignore_eos=True,
    )
    _times(worker, request)  # the first request also initializes kernels
    began_s, times = _times(worker, request)
    throughput = _throughput(worker, request, shape["concurrency"])
    stats = worker.stats()
    return {
        "ttft_s": times[0] - began_s,
        "tpot_s": (times[-1] - times[0]) / (len(times) - 1),
        "tokens_per_s": throughput,
        "tensor_bytes": stats.memory_used_bytes,
        "all_reduce_share": stats.all_reduce_share,
    }


def _times(worker: RankWorker, request: GenerationRequest) -> tuple[float, list[float]]:
    """Return when a request was sent and when each of its tokens came."""
    began_s = time.perf_counter()
    times = []
    for event in worker.submit(request):
        _check(event)
        if event.token_id is not None:
            times.append(time.perf_counter())
    return began_s, times


def _throughput(worker: RankWorker, request: GenerationRequest, concurrency: int) -> float:
    """Return output tokens per second of `concurrency` requests at once, their prefill included."""
    began_s = time.perf_counter()
    handles = [worker.submit(request) for _ in range(concurrency)]
    count = 0
    for handle in handles:
        for event in handle:
            _check(event)
            count += event.token_id is not None
    return count / (time.perf_counter() - began_s)


def _check(event: TokenEvent) -> None:
    if event.error:
        raise RuntimeError(event.error)


if __name__ == "__main__":
    main()
