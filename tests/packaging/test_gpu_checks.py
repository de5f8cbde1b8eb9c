"""The checks for a bare GPU machine need torch and the packages of their folder of wheels, nothing else."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

from tests.gpu.alone.wheels import ALONE, PACKAGES
from tests.packaging.installed import ROOT
from tests.ray.other_python import python_without

ABSENT = ("ray", "textual", "rich", "starlette", "uvicorn", "prometheus_client", "h11", "httpx", "aiohttp")
PROGRAM = """
import tests.gpu.alone.checks, tests.gpu.alone.rank, sys
print(*sys.modules)
"""


def test_they_start_without_ray_and_textual(tmp_path: Path) -> None:
    python = python_without(tmp_path, ABSENT)
    done = subprocess.run(
        [python, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not {name.partition(".")[0] for name in done.stdout.split()} & set(ABSENT)


def test_the_wheels_are_of_declared_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["torch"]]
    assert set(PACKAGES + ALONE) <= set(declared)
