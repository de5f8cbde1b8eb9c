"""`clusterview calibrate` as a command, where nothing has to be measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cluster.bridge.calibrations import keep_calibration
from cluster.calibration.result import Calibration
from cluster.cli import calibrate
from cluster.cli.main import main
from cluster.inventory import Cluster, Node
from tests.cluster.calibration.test_apply import calibration_of, cluster_of


@pytest.fixture(autouse=True)
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTERVIEW_STATE_DIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def test_what_was_measured_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "--show"]) == 0
    assert capsys.readouterr().out == "nothing is calibrated; run: clusterview calibrate\n"
    keep_calibration(calibration_of(cluster_of(), software="torch 2.9.0, CUDA 12.8"))
    assert main(["calibrate", "--show"]) == 0
    text = capsys.readouterr().out
    assert "ray a  measured 2027-01-12" in text and "torch 2.9.0, CUDA 12.8" in text
    assert "memory 150 GB/s streaming weights" in text and "bf16 50 TFLOPS" in text
    assert "all-reduce over 2 x L4 on node-1 (pcie, nccl): 100 µs + size at 1 GB/s bus bandwidth" in text
    assert main(["calibrate", "--show", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["calibrations"]
    assert row["links"][0]["link"]["kind"] == "pcie"


def test_a_calibration_is_kept_and_said_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    found = calibration_of(cluster_of(), skipped=("node-1 GPU 0 (L4): in use by python",))
    monkeypatch.setattr(calibrate, "_measure", lambda arguments: found)
    assert main(["calibrate"]) == 0
    out, said = capsys.readouterr()
    assert "not measured: node-1 GPU 0 (L4): in use by python" in out
    assert "every later plan of this cluster uses it" in said and list(tmp_path.glob("*/*.measured"))


def test_nothing_simulated_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = calibration_of(cluster_of(), simulated=True)
    monkeypatch.setattr(calibrate, "_measure", lambda arguments: found)
    assert main(["calibrate"]) == 0 and list(tmp_path.iterdir()) == []


def test_where_nothing_came_out_it_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = Calibration(cluster="c", measured_at_s=1, duration_s=1, skipped=("rates of L4: no answer",))
    monkeypatch.setattr(calibrate, "_measure", lambda arguments: empty)
    assert main(["calibrate"]) == 1
    assert "nothing could be measured. rates of L4: no answer" in capsys.readouterr().err


def test_a_machine_without_a_gpu(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    bare = Cluster(source="none", nodes=(Node(node_id="n", name="n", error="no driver"),))
    monkeypatch.setattr("cluster.cli.this_machine.read_this_machine", lambda: bare)
    assert main(["calibrate"]) == 2
    assert "no NVIDIA GPU found on this machine (no driver)" in capsys.readouterr().err
    assert main(["calibrate", "--cluster", "8xH100"]) == 2
