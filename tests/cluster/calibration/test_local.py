"""A calibration in plain processes, on the CPU."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from cluster.calibration.local import LocalWorkers
from cluster.calibration.measure import WorkerFailed, measure
from cluster.calibration.result import Spot
from cluster.cli.calibrate_lines import calibration_lines

SPOTS = [
    Spot(node_id=f"n{n}", node_name=f"node-{n}", gpu_index=n, gpu_uuid=f"u{n}", gpu_type="L4") for n in (0, 1)
]


def test_everything_is_measured_and_nothing_is_left() -> None:
    said: list[str] = []
    with LocalWorkers(SPOTS, "cpu") as workers:
        workers.prepare()
        pids = [process.pid for process in workers._processes]
        found = measure(workers, SPOTS, on_gpu=False, title="here", progress=said.append)
        with pytest.raises(WorkerFailed, match="GPU 1: 'CalibrationRank' object has no attribute 'x'"):
            workers.ask({1: ("x", ())}, 5.0)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert found.simulated and found.skipped == () and "torch" in found.software
    (link,) = found.links
    assert (link.link.scope, link.link.kind, link.link.num_ranks) == ("cross_node", "network", 2)
    assert len(link.times) == 6 and link.gpus == ("u0", "u1")
    (rates,) = found.rates
    assert rates.rate.memory_bytes_per_s and set(rates.rate.flops_per_s) == {"fp32", "bf16"}
    assert len(said) == 2
    text = "\n".join(calibration_lines(found))
    assert "SIMULATED" in text and "all-reduce over 2 x L4 on 2 nodes (network, gloo)" in text


class DyingWorkers:
    """Workers of which one never answers a collective."""

    def ask(self, calls: Any, deadline_s: float) -> dict[int, Any]:
        name = next(iter(calls.values()))[0]
        if name == "all_reduce":
            raise WorkerFailed("node-1 GPU 1 did not answer within 45 s")
        answers = {
            "software": "torch",
            "open_meeting": "tcp://x:1",
            "rates": ({"copy": 1e9, "read": 2e9, "weights": 3e9}, {"fp32": 1e12}, {"fp8": "no"}),
        }
        return dict.fromkeys(calls, answers[name])


def test_a_rank_that_fails_costs_its_groups_and_not_the_rest() -> None:
    spots = [
        one.model_copy(update={"node_id": "n", "node_name": "node-0", "gpu_uuid": f"u{n}"})
        for n, one in enumerate(SPOTS * 2)
    ]
    found = measure(DyingWorkers(), spots, on_gpu=True, title="t")
    assert found.links == () and len(found.rates) == 1
    assert found.skipped == (
        "2 x L4 on node-0 (pcie): node-1 GPU 1 did not answer within 45 s",
        "4 x L4 on node-0 (pcie): a rank of it failed before",
    )
    assert found.rates[0].absent == {"fp8": "no"}


def test_a_killed_process_is_named() -> None:
    with LocalWorkers(SPOTS[:1], "cpu") as workers:
        os.kill(workers._processes[0].pid, signal.SIGKILL)
        time.sleep(0.2)
        with pytest.raises(WorkerFailed, match="the process on GPU 0 ended"):
            workers.ask({0: ("prepare", ())}, 5.0)
