"""Run `clusterview` as a user does: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys


def run_clusterview(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m tui` with these arguments; stdin is empty, stdout and stderr are pipes."""
    env = {key: value for key, value in os.environ.items() if key not in ("RAY_ADDRESS", "NO_COLOR")}
    return subprocess.run(
        [sys.executable, "-m", "tui", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
        env={**env, **environment},
        check=False,
    )


def one_line_error(done: subprocess.CompletedProcess[str]) -> str:
    """Return the only line on stderr of a command that was refused."""
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("clusterview: ")
    return lines[0]
