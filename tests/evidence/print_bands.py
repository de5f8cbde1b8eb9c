"""`python -m tests.evidence.print_bands [FOLDER]`: print the [bands] tables for timing.toml."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.evidence.bands import fractions
from tests.evidence.throughput_accuracy import ratios, read_cases

DEFAULT_FOLDER = Path("tests/evidence/data")
FIGURES = ("throughput", "ttft", "tpot")


def bands_table(folder: Path) -> str:
    """Return the [bands.*] tables that the evidence in a folder gives, as TOML."""
    computed = fractions(ratios(read_cases(folder)[0]))
    tables = []
    for group, figures in sorted(computed.items()):
        lines = [f"{figure} = [{figures[figure][0]}, {figures[figure][1]}]" for figure in FIGURES]
        tables.append("\n".join([f"[bands.{group}]", *lines]))
    return "\n\n".join(tables) + "\n"


if __name__ == "__main__":
    sys.stdout.write(bands_table(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_FOLDER))
