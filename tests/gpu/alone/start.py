"""Installs a folder of wheels into a temporary one and runs the checks there. Standard library only.

Use: python3 tests/gpu/alone/start.py WHEELS [--cpu] [--model NAME] [--seconds N]

--cpu runs the checks without a GPU, with a tiny model: it shows that they run, and measures nothing of value.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[3]


def main(wheels: Path, arguments: list[str]) -> int:
    """Return the exit status of the checks."""
    with tempfile.TemporaryDirectory(prefix="clusterview-gpu-") as folder:
        chosen = [str(path) for path in sorted(wheels.glob("*.whl")) if not _has_own(path)]
        install = ["--no-index", "--no-deps", "--no-compile", "--target", f"{folder}/site", *chosen]
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", *install], check=True, stdout=sys.stderr
        )
        env = {
            **os.environ,
            "PYTHONPATH": f"{folder}/site{os.pathsep}{ROOT}",
            "CLUSTERVIEW_STATE_DIR": folder,
        }
        checks = [sys.executable, "-m", "tests.gpu.alone.checks", *arguments]
        return subprocess.run(checks, env=env, cwd=ROOT, check=False).returncode


def _has_own(wheel: Path) -> bool:
    """Return whether the machine has this package and its torch was built with it: numpy."""
    return wheel.name.startswith("numpy-") and importlib.util.find_spec("numpy") is not None


if __name__ == "__main__":
    if len(sys.argv) < 2 or not Path(sys.argv[1]).is_dir():
        sys.exit(f"{__doc__}\nWHEELS is a folder made by `make gpu-wheels`")
    sys.exit(main(Path(sys.argv[1]).resolve(), sys.argv[2:]))
