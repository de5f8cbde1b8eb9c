"""What is asked again, and what is not: a driver's call may take 50 ms."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.cluster.probe.conftest import FakeNvml

PROGRAM = """
import collections, json
from cluster.probe.node import NodeReader
calls = collections.Counter()
reader = NodeReader("id", "name", mark=lambda gpu, function: calls.update([function]))
rounds = []
for look in (reader.read_inventory, reader.read_now, reader.read_detail) * 2:
    calls.clear()
    look()
    rounds.append(dict(calls))
print(json.dumps(rounds))
"""


def test_the_second_look_asks_only_for_what_can_change(fake_nvml: FakeNvml) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**fake_nvml(gpus=4), "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, _, first_detail, second, now, detail = json.loads(done.stdout)
    pairs, once = 6, {"nvmlDeviceGetP2PStatus", "nvmlDeviceGetName", "nvmlDeviceGetMaxClockInfo"}
    assert first["nvmlDeviceGetP2PStatus"] == pairs
    assert once <= first.keys()
    assert not once & second.keys()
    assert sum(second.values()) < 4 * 12
    assert sum(now.values()) < 4 * 20
    # 12 links: their states each time, where they end once.
    assert first_detail["nvmlDeviceGetNvLinkRemoteDeviceType"] == 4 * 12
    assert "nvmlDeviceGetNvLinkRemoteDeviceType" not in detail
    # Twelve links with five counters each fit into two calls, and the recovery action is one of its own.
    assert detail["nvmlDeviceGetFieldValues"] == 4 * 3
