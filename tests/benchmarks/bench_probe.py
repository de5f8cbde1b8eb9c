"""What the probe costs, beside nvitop reading the same figures of the same fake driver."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.cluster.probe.fake_library import build_fake_nvml


def main() -> None:
    """Print the time of a sweep and of all figures against nvitop's, and the probe's share of a core."""
    with tempfile.TemporaryDirectory() as folder:
        library = build_fake_nvml(Path(folder))
        for gpus in ("8", "72"):
            env = {**os.environ, "LD_LIBRARY_PATH": str(library), "FAKE_GPUS": gpus}
            env["FAKE_PID"] = str(os.getpid())
            subprocess.run([sys.executable, "-m", "tests.benchmarks.probe_worker"], env=env, check=True)


if __name__ == "__main__":
    main()
