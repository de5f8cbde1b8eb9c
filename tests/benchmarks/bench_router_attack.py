"""Latency of a small request and memory of the router, idle and during each attack."""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.benchmarks.router_attacks import ATTACKS, MIB, attack

WARM_UP_S = 2.0
DURATION_S = 6.0
PAGE = 4096


def main() -> None:
    """Print one line for the idle router and one per attack."""
    target = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.router_target"], stdout=subprocess.PIPE, text=True
    )
    assert target.stdout is not None
    port = int(target.stdout.readline())
    time.sleep(WARM_UP_S)
    try:
        alone_ms = _measure("alone", port, target.pid)
        for name in ATTACKS:
            with attack(name, port):
                time.sleep(WARM_UP_S)
                during_ms = _measure(name, port, target.pid)
            print(f"{'':34}median is {during_ms / alone_ms:.1f} times that alone")
    finally:
        target.terminate()
        target.wait()


def _measure(name: str, port: int, pid: int) -> float:
    peaks = _Peaks(pid)
    times_ms, failed = [], 0
    with peaks:
        until_s = time.perf_counter() + DURATION_S
        while time.perf_counter() < until_s:
            begun_s = time.perf_counter()
            failed += not _is_answered(port)
            times_ms.append(1e3 * (time.perf_counter() - begun_s))
            time.sleep(0.01)
    times_ms.sort()
    median_ms, late_ms = statistics.median(times_ms), times_ms[int(0.99 * len(times_ms))]
    print(
        f"{name:34}{median_ms:7.1f} ms median {late_ms:7.1f} ms p99 {times_ms[-1]:7.1f} ms max, "
        f"{failed} of {len(times_ms)} failed; router {peaks.router_bytes / MIB:.0f} MiB, "
        f"its processes {peaks.children_bytes / MIB:.0f} MiB",
        flush=True,
    )
    return median_ms


def _is_answered(port: int) -> bool:
    """Request a completion on a new connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = json.dumps({"model": "echo", "prompt": "abc", "max_tokens": 5})
    try:
        connection.request("POST", "/v1/completions", body, {"content-type": "application/json"})
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


class _Peaks:
    """Peak memory of the router and of its child processes, sampled 20 times a second."""

    def __init__(self, pid: int) -> None:
        self._pid, self._done = pid, threading.Event()
        self.router_bytes = self.children_bytes = 0
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            children = Path(f"/proc/{self._pid}/task").glob("*/children")
            pids = [int(pid) for path in children for pid in path.read_text().split()]
            self.router_bytes = max(self.router_bytes, _resident_bytes(self._pid))
            self.children_bytes = max(self.children_bytes, sum(map(_resident_bytes, pids)))


def _resident_bytes(pid: int) -> int:
    try:
        return PAGE * int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0


if __name__ == "__main__":
    main()
