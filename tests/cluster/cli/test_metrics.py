"""`clusterview metrics` as a user runs it: printed once, and served until a signal."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.cluster.cli.run_clusterview import run_clusterview

PATIENCE_S = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def scraped(port: int) -> httpx.Response:
    """Return the first answer that has metrics."""
    until_s = time.monotonic() + PATIENCE_S
    while True:
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics")
        if answer.status_code == 200 or time.monotonic() > until_s:
            return answer
        time.sleep(0.1)


def test_printed_once(tmp_path: Path) -> None:
    done = run_clusterview("metrics", CLUSTERVIEW_STATE_DIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert "clusterview_simulated 0.0" in done.stdout.splitlines()


def test_served_until_a_signal(tmp_path: Path) -> None:
    port = free_port()
    environment = {**os.environ, "CLUSTERVIEW_STATE_DIR": str(tmp_path)}
    environment.pop("RAY_ADDRESS", None)
    command = [sys.executable, "-m", "tui", "metrics", "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line == f"clusterview: metrics of this machine on http://127.0.0.1:{port}/metrics\n"
        answer = scraped(port)
        assert answer.status_code == 200, answer.text
        assert f'clusterview_node_up{{Hostname="{socket.gethostname()}"' in answer.text
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        assert process.stderr.read() == ""
