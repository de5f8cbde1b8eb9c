"""`python -m tests.fuzz [COUNT] [--first N]`: run cases, print failures and the time and memory taken.

Cases run in batches, each in its own process, so that caches of one batch do not count towards the memory of
the next, and a case that crashes its process can be named.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

_BATCH = 500
_BATCH_TIMEOUT_S = 3600


def main() -> int:
    """Return 0 when every case was answered within time and memory and without a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("count", nargs="?", type=int, default=20_000, help="cases to run")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--batch", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.batch:
        return _run_batch(arguments.first, arguments.count)
    statuses: Counter[int] = Counter()
    faults, slowest, most_mib, cpu_s = [], (0.0, -1), 0.0, 0.0
    for line in _outcomes(arguments.first, arguments.count):
        statuses[line["status"]] += 1
        cpu_s += line["cpu_s"]
        slowest = max(slowest, (line["cpu_s"], line["number"]))
        most_mib = max(most_mib, line["rss_mib"])
        if line["fault"]:
            faults.append(line)
            print(f"case {line['number']}: {line['fault']}", flush=True)
    print(f"{statuses.total()} cases: {len(faults)} faults; by status {dict(sorted(statuses.items()))}")
    print(
        f"CPU {cpu_s:.0f} s, slowest {slowest[0]:.2f} s (case {slowest[1]}); peak memory {most_mib:.0f} MiB"
    )
    return 1 if faults else 0


def _outcomes(first: int, count: int) -> Iterator[dict[str, object]]:
    for start in range(first, first + count, _BATCH):
        size = min(_BATCH, first + count - start)
        command = [sys.executable, "-m", "tests.fuzz", str(size), "--first", str(start), "--batch"]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, timeout=_BATCH_TIMEOUT_S, check=False
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        yield from lines
        if len(lines) < size:
            number = start + len(lines)
            fault = f"its process ended with status {done.returncode}"
            yield {"number": number, "status": -1, "fault": fault, "cpu_s": 0.0, "rss_mib": 0.0}


def _run_batch(first: int, count: int) -> int:
    from tests.fuzz.run import isolate, peak_rss_bytes, run_case

    isolate()
    for number in range(first, first + count):
        outcome = run_case(number)
        line = {**vars(outcome), "rss_mib": peak_rss_bytes() / 2**20}
        print(json.dumps(line), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
