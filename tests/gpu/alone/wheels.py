"""Downloads the wheels that clusterview needs beside torch, for Python 3.12 on Linux x86-64."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

# Neither Ray nor Textual: the checks use the planner, the probe and the built-in engine.
PACKAGES = (
    "pydantic>=2.9",
    "nvidia-ml-py>=12.560",
    "google-re2>=1.1.20240702",
    "safetensors>=0.4.5",
    "jinja2>=3.1",
    "numpy>=1.26",
)
# What these ask for serves downloads from the hub only.
ALONE = ("tokenizers>=0.20",)
_PLATFORMS = (
    "manylinux_2_28_x86_64",
    "manylinux_2_27_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
)
MOST_BYTES = 64 * 2**20


def main(folder: Path, python_version: str) -> int:
    """Fill the folder; return 1 if the wheels are too large to travel."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    platforms = [word for name in _PLATFORMS for word in ("--platform", name)]
    target = ["--python-version", python_version, "--implementation", "cp", "--only-binary=:all:", *platforms]
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder), *target]
    for packages in (PACKAGES, ("--no-deps", *ALONE)):
        done = subprocess.run([*download, *packages], check=False)
        if done.returncode:
            return done.returncode
    total = sum(wheel.stat().st_size for wheel in folder.glob("*.whl"))
    print(f"{folder}: {len(list(folder.glob('*.whl')))} wheels, {total / 2**20:.1f} MiB")
    return 0 if total <= MOST_BYTES else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="is emptied first")
    parser.add_argument("--python-version", default="3.12")
    asked = parser.parse_args()
    sys.exit(main(asked.folder, asked.python_version))
