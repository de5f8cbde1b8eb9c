"""`clusterview --dry-run` as a whole process, compared with a Python that defines one pydantic model."""

from __future__ import annotations

import sys

from tests.benchmarks.timing import paired_ratio, run_quietly

PYDANTIC_ONLY = "from pydantic import BaseModel\nclass One(BaseModel):\n    value: int\nOne(value=1)"
DRY_RUN = ["-m", "tui", "--dry-run", "--model", "llama-3.1-70b", "--cluster", "2x4xA100-80GB", "--json"]


def main() -> None:
    """Print the ratio (target: at most 2)."""
    ratio, dry_run_s, pydantic_s = paired_ratio(
        lambda: run_quietly([sys.executable, *DRY_RUN]),
        lambda: run_quietly([sys.executable, "-c", PYDANTIC_ONLY]),
    )
    print(f"dry run / one pydantic model: {ratio:.2f}  (target <= 2; {dry_run_s:.3f} s / {pydantic_s:.3f} s)")


if __name__ == "__main__":
    main()
