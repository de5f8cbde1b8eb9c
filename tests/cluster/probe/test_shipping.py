"""A node needs only the probe, the top-level modules of cluster, pydantic and an NVML binding to be read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests.cluster.probe.conftest import FakeNvml

PACKAGE = Path(__file__).parents[3] / "cluster"
ROOTS = ("__init__", "frozen", "text", "gpu_facts", "gpu_health", "inventory", "telemetry", "detail", "units")
RECEIVERS_SIDE = ("local.py", "naming.py")
PROGRAM = """
import json
from cluster.probe.watch import ProbeProcess
from cluster.probe.node import NodeReader
reader = NodeReader("id", "name")
node, reading = reader.read_inventory(), reader.read_now()
reader.close()
probe = ProbeProcess("id", "name")
probe.start()
assert probe.wait_first(60)
again, _, _ = probe.latest()
probe.close()
print(json.dumps([[gpu.type for gpu in node.gpus], again == node, reading.gpus[0].temperature_c]))
"""


def test_the_probe_runs_where_nothing_else_of_ours_is(fake_nvml: FakeNvml, tmp_path: Path) -> None:
    shipped = tmp_path / "cluster"
    shipped.mkdir()
    for root in ROOTS:
        shutil.copy(PACKAGE / f"{root}.py", shipped)
    shutil.copytree(
        PACKAGE / "probe", shipped / "probe", ignore=shutil.ignore_patterns("*.pyc", *RECEIVERS_SIDE)
    )
    env = {**fake_nvml(gpus=2), "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM], env=env, cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # The receiver maps names to catalog types; a node reports the vendor's name.
    assert json.loads(done.stdout) == [["NVIDIA A100-SXM4-80GB"] * 2, True, 50.0]
