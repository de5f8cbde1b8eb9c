"""Time to plan 70B on eight H200 as a whole process, compared with NVIDIA's AIConfigurator.

AIConfigurator pins its dependencies, so it needs its own environment:
    python3 -m venv /tmp/aic && /tmp/aic/bin/pip install aiconfigurator==0.12.0
    CLUSTERVIEW_AICONFIGURATOR=/tmp/aic/bin/aiconfigurator make bench ARGS=aiconfigurator
"""

from __future__ import annotations

import os
import shutil
import sys

from tests.benchmarks.timing import paired_ratio, run_quietly

MODEL = "meta-llama/Meta-Llama-3.1-70B"
TOKENS = {"input": "1024", "output": "512"}


def main() -> None:
    """Print the ratio (target: 30), or why it was not measured."""
    peer = shutil.which(os.environ.get("CLUSTERVIEW_AICONFIGURATOR", "aiconfigurator"))
    if peer is None:
        print("skipped: no aiconfigurator on PATH or in CLUSTERVIEW_AICONFIGURATOR (how: see this file)")
        return
    os.environ["HF_HUB_OFFLINE"] = "1"
    ratio, peer_s, ours_s = paired_ratio(
        lambda: run_quietly(_peer_command(peer)), lambda: run_quietly(_our_command()), runs=3
    )
    print(f"AIConfigurator / clusterview: {ratio:.1f}  (target >= 30; {peer_s:.2f} s / {ours_s:.2f} s)")


def _peer_command(executable: str) -> list[str]:
    question = ["--model-path", MODEL, "--total-gpus", "8", "--system", "h200_sxm"]
    return [executable, "cli", "default", *question, "--isl", TOKENS["input"], "--osl", TOKENS["output"]]


def _our_command() -> list[str]:
    question = ["--model", MODEL, "--cluster", "8xH200", "--json"]
    tokens = ["--input-tokens", TOKENS["input"], "--output-tokens", TOKENS["output"]]
    return [sys.executable, "-m", "tui", "--dry-run", *question, *tokens]


if __name__ == "__main__":
    main()
