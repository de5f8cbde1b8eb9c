"""Calibrates the free GPUs of this machine, as `clusterview calibrate` does, but without Ray."""

from __future__ import annotations

import sys
from typing import Any

from cluster.calibration.groups import free_spots
from cluster.calibration.local import LocalWorkers, calibrate_here
from cluster.calibration.measure import measure
from cluster.calibration.result import Calibration
from tests.gpu.alone.machine import Machine

_TITLE = "this machine"


def check_calibrate(machine: Machine) -> dict[str, Any]:
    """Return what was measured; the plans of later checks use it."""
    made = _on_cpu(machine) if machine.on_cpu else calibrate_here(machine.cluster, _TITLE, _progress)
    machine.calibrations.append(made)
    return made.model_dump(mode="json", include={"duration_s", "software", "links", "rates", "skipped"})


def _on_cpu(machine: Machine) -> Calibration:
    spots, skipped = free_spots(machine.cluster)
    with LocalWorkers(spots, "cpu") as workers:
        workers.prepare()
        return measure(workers, spots, on_gpu=False, title=_TITLE, skipped=skipped, progress=_progress)


def _progress(message: str) -> None:
    print(f"  {message}", file=sys.stderr, flush=True)
