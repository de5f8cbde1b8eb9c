"""Every figure that nvitop reads beside the probe's, on the same fake driver."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from cluster.probe.lines import Seen
from cluster.probe.local import read_seen
from tests.cluster.probe.conftest import Control, FakeNvml

ROOT = Path(__file__).parents[3]
# A different number for each figure, so that no two can be mistaken for one another.
SCENE = {
    "utilization": 11,
    "memory_busy": 12,
    "encoder": 13,
    "decoder": 14,
    "temperature": 15,
    "fan": 16,
    "power_mw": 170_000,
    "power_limit_mw": 180_000,
    "sm_clock": 190,
    "memory_clock": 200,
    "max_sm_clock": 210,
    "max_memory_clock": 220,
    "performance_state": 3,
    "pcie_received_kib": 2300,
    "pcie_sent_kib": 2400,
    "volatile_uncorrected": 25,
    "volatile_corrected": 26,
    "aggregate_uncorrected": 27,
    "bar1_used_mib": 28,
    "process_mib": 290,
    "process_sm": 30,
    "links": 10,
}


def test_each_figure_equals_nvitops(fake_nvml: FakeNvml, control: Control) -> None:
    """GPU 1 has the scene, GPU 0 the defaults of the fake; both run one process."""
    control.say(*(f"set {name} 1 {number}" for name, number in SCENE.items()), "set fan 0 50")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as worker:
        env = fake_nvml(gpus=2, pid=worker.pid, control=control.path)
        theirs = nvitop(env)
        seen = read_seen(timeout_s=40.0, env=env)
    facts = seen.node.facts
    assert facts is not None
    assert (facts.driver_version, facts.cuda_version) == (theirs["driver_version"], theirs["cuda_version"])
    for number, figures in enumerate(theirs["gpus"]):
        assert {field: ours(seen, number)[field] for field in figures} == figures
    assert theirs["gpus"][1]["processes"][0]["sm_percent"] == 30


def nvitop(env: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.cluster.probe.nvitop_figures"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def ours(seen: Seen, number: int) -> dict[str, Any]:
    """Return all of a GPU's figures under the names that nvitop_figures gives them."""
    assert seen.detail is not None
    gpu, reading, detail = seen.node.gpus[number], seen.reading.gpus[number], seen.detail.gpus[number]
    assert gpu.facts is not None
    shown = {**detail.model_dump(), **gpu.facts.model_dump(), **gpu.model_dump(), **reading.model_dump()}
    shown["ecc.volatile_uncorrected"] = detail.ecc.volatile_uncorrected
    shown["compute_capability"] = list(gpu.compute_capability or ())
    # The catalog's type stands for the product that nvitop names.
    shown["type"] = {"A100-80GB": "NVIDIA A100-SXM4-80GB"}[gpu.type]
    process = ("pid", "memory_bytes", "sm_percent", "user", "command")
    shown["processes"] = [{field: getattr(each, field) for field in process} for each in reading.processes]
    return shown
