"""Runs the checks one after the other within a time limit, and prints one JSON object with what they found.

The exit status is 0 if every check ran or there is no GPU, 1 if one failed: the object says which and why.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from tests.gpu.alone.calibrate_check import check_calibrate
from tests.gpu.alone.engine_check import check_engine
from tests.gpu.alone.machine import Machine, NoGpu, find_machine
from tests.gpu.alone.probe_check import check_probe

LIMIT_S = 280.0
Check = Callable[[Machine], dict[str, Any]]
CHECKS: dict[str, Check] = {
    "probe": check_probe,
    "calibrate": check_calibrate,
    "predicted_and_measured": check_engine,
}


def main() -> int:
    """Run all checks; a failed one does not stop the next."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu", action="store_true", help="without a GPU: shows that the checks run")
    parser.add_argument("--model", help="catalog name, planned and run with dummy weights")
    parser.add_argument("--seconds", type=float, default=LIMIT_S, help="no check begins after this time")
    asked = parser.parse_args()
    began_s = time.monotonic()
    try:
        machine = find_machine(on_cpu=asked.cpu, model=asked.model)
    except NoGpu as error:
        print(json.dumps({"skipped": str(error)}))
        return 0
    results: dict[str, Any] = {"machine": machine.described()}
    for name, check in CHECKS.items():
        results[name] = _run(check, machine, asked.seconds - (time.monotonic() - began_s))
    results["seconds"] = round(time.monotonic() - began_s, 1)
    print(json.dumps(results, indent=1))
    return 1 if any("failed" in result for result in results.values() if isinstance(result, dict)) else 0


def _run(check: Check, machine: Machine, left_s: float) -> dict[str, Any]:
    print(f"{check.__name__} ...", file=sys.stderr, flush=True)
    began_s = time.monotonic()
    if left_s <= 0:
        return {"failed": "no time was left"}
    try:
        result = check(machine)
    except Exception as error:
        traceback.print_exc()
        result = {"failed": f"{type(error).__name__}: {error}"}
    return {**result, "seconds": round(time.monotonic() - began_s, 1)}


if __name__ == "__main__":
    sys.exit(main())
