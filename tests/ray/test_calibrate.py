"""A calibration through Ray, on a simulated cluster: it measures this machine's CPU, and no plan uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cluster.cli.run_clusterview import run_clusterview

pytestmark = [pytest.mark.ray, pytest.mark.long]


def test_a_simulated_calibration_is_marked_and_not_kept(tmp_path: Path) -> None:
    done = run_clusterview("calibrate", "--simulate", "1x2xL4", "--json", CLUSTERVIEW_STATE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["kept"] is False
    (calibration,) = found["calibrations"]
    assert calibration["simulated"] is True and calibration["skipped"] == []
    (link,) = calibration["links"]
    assert link["link"]["kind"] == "pcie" and link["link"]["library"] == "gloo"
    assert link["link"]["num_ranks"] == 2 and len(set(link["gpus"])) == 2
    assert calibration["rates"][0]["rate"]["flops_per_s"].keys() == {"fp32", "bf16"}
    assert "SIMULATED" in done.stderr and "all-reduce over 2 x L4" in done.stderr
    assert not list(tmp_path.glob("clusterview-*/*.measured"))
