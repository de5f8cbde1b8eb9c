"""Builds the fake NVML of fake_nvml.c: a folder for LD_LIBRARY_PATH."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("fake_nvml.c")


def build_fake_nvml(folder: Path, *flags: str) -> Path:
    """Compile the fake library into `folder` and return the folder; skips the test without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to build the fake NVML with")
    output = folder / "libnvidia-ml.so.1"
    shared = ["-O1", "-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1"]
    subprocess.run([compiler, *shared, *flags, str(SOURCE), "-o", str(output)], check=True)
    return folder
