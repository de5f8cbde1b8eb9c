"""The probe's parent process must not load NVML, so that it cannot hang or crash in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("module", "never"),
    [
        ("cluster.probe.local", {"pynvml", "ray", "torch", "textual", "httpx", "starlette"}),
        ("cluster.probe.watch", {"pynvml", "ray", "torch", "textual", "httpx", "cluster.catalog"}),
        ("cluster.probe.process", {"pynvml", "ray", "torch", "textual", "httpx", "cluster.catalog"}),
        ("cluster.bridge.local_session", {"pynvml", "ray", "torch", "textual", "starlette"}),
        ("cluster.deploy.router.http_app", {"ray", "torch", "textual", "pynvml"}),
    ],
)
def test_importing_it_loads_nothing_heavy(module: str, never: set[str]) -> None:
    program = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not never & set(done.stdout.split())
