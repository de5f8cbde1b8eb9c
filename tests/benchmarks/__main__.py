"""Run every benchmark, or those named: `python -m tests.benchmarks dry_run search`.

Each prints ratios measured in one run, because absolute times depend on the machine more than on the code.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

PREFIX = "bench_"


def benchmark_names() -> list[str]:
    """Names of the benchmarks beside this file, without their prefix."""
    return sorted(path.stem.removeprefix(PREFIX) for path in Path(__file__).parent.glob(f"{PREFIX}*.py"))


def main(chosen: list[str]) -> int:
    """Run the chosen benchmarks, or all of them; return 2 for an unknown name."""
    names = benchmark_names()
    unknown = [name for name in chosen if name not in names]
    if unknown:
        print(f"Unknown benchmark: {', '.join(unknown)}. Available: {', '.join(names)}", file=sys.stderr)
        return 2
    for name in chosen or names:
        print(f"== {name.replace('_', ' ')}", flush=True)
        importlib.import_module(f"tests.benchmarks.{PREFIX}{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
