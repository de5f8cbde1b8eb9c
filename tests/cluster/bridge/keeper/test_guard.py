"""A worker and its guard: kill either, and nothing that the worker started is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.process_table import processes_with
from tests.ray.support import wait_until

MARK = "CLUSTERVIEW_TEST_MARK"

# The worker starts processes that leave their session, ignore SIGTERM, and have children of their own.
SCRIPT = """
import os, pathlib, signal, subprocess, sys, time
from cluster.bridge.keeper.guard import await_guarded, start_guarded
from cluster.process_table import end_descendants

STUBBORN = "trap '' TERM; setsid sleep 600 & sleep 600"

def told_to_end(number, frame):
    end_descendants()
    os._exit(7)

def work():
    signal.signal(signal.SIGTERM, told_to_end)
    subprocess.Popen(["sh", "-c", STUBBORN], start_new_session=True)
    folder = pathlib.Path(sys.argv[1])
    (folder / "draft").write_text(str(os.getpid()))
    (folder / "draft").rename(folder / "worker")
    time.sleep(600)
    return 0

status = await_guarded(start_guarded(work))
end_descendants()
sys.exit(abs(status))
"""


@pytest.mark.parametrize(
    ("victim", "number", "status"),
    [
        ("worker", signal.SIGKILL, signal.SIGKILL),
        ("worker", signal.SIGTERM, 7),
        ("guard", signal.SIGTERM, 7),
        ("guard", signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_nothing_is_left(tmp_path: Path, victim: str, number: signal.Signals, status: int) -> None:
    environment = {**os.environ, MARK: str(tmp_path)}
    guard = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)], env=environment)
    assert wait_until((tmp_path / "worker").exists, 30)
    # The guard, the worker, the shell and its two sleeps.
    assert wait_until(lambda: len(processes_with(MARK, str(tmp_path))) == 5, 30)
    worker = int((tmp_path / "worker").read_text())
    os.kill(worker if victim == "worker" else guard.pid, number)
    assert guard.wait(60) == status
    assert wait_until(lambda: not processes_with(MARK, str(tmp_path)), 60)
