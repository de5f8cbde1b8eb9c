"""Tests on a real NVIDIA GPU; without one each says why it is skipped."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache

import pytest

from cluster.inventory import Cluster
from cluster.probe.local import read_cluster

_SMI_S = 60


@cache
def this_machine() -> Cluster:
    """Read this machine's GPUs once."""
    return read_cluster(timeout_s=30.0)


def nvidia_smi(*arguments: str) -> str:
    """Return what nvidia-smi prints."""
    done = subprocess.run(
        ["nvidia-smi", *arguments], capture_output=True, text=True, timeout=_SMI_S, check=True
    )
    return done.stdout


def smi_rows(query: str, *fields: str) -> list[dict[str, str | None]]:
    """Return the rows of an nvidia-smi query; what it has no value for is None."""
    printed = nvidia_smi(f"--query-{query}={','.join(fields)}", "--format=csv,noheader,nounits")
    rows = [[cell.strip() for cell in line.split(",")] for line in printed.splitlines() if line.strip()]
    return [dict(zip(fields, map(_known, row), strict=True)) for row in rows]


def _known(cell: str) -> str | None:
    return None if cell.startswith("[") or cell in {"N/A", ""} else cell


@pytest.fixture(autouse=True)
def needs_a_gpu() -> None:
    """Skip where NVML shows no GPU or nvidia-smi is missing."""
    cluster = this_machine()
    if cluster.source != "nvml":
        pytest.skip(f"no NVIDIA GPU here: {cluster.nodes[0].error}")
    if shutil.which("nvidia-smi") is None:
        pytest.skip("nvidia-smi, which the readings are compared with, is not on the PATH")
