"""`record`, and what reads the file again: --once, --dry-run and snapshot, as a user runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster.recording.recording import open_recording
from tests.cluster.cli.run_clusterview import one_line_error, run_clusterview
from tests.cluster.recording.scenes import record

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("recorded") / "incident.cvr"
    record(path, 60)
    return str(path)


def test_a_recording_is_printed_and_planned_on(recorded: str) -> None:
    done = run_clusterview("--once", "--json", "--replay", recorded)
    answer = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert answer["title"] == "replay incident.cvr: simulated 2x4xA100-80GB" and answer["simulated"]
    held = [one["memory_used_bytes"] for node in answer["nodes"] for one in node["gpus"]]
    assert held[0] > 40 * 2**30 > held[1]
    early = json.loads(run_clusterview("--once", "--json", "--replay", recorded, "--at", "+3").stdout)
    assert early["taken_at_s"] == answer["taken_at_s"] - 56
    assert early["nodes"][0]["gpus"][0]["memory_used_bytes"] < 2**30

    plan = run_clusterview("--dry-run", "--json", "--model", "llama-3.1-8b", "--replay", recorded)
    (first, *_), _ = (node["gpus"] for node in json.loads(plan.stdout)["cluster"]["nodes"])
    assert plan.returncode == 0 and first["memory_free_bytes"] < 40 * 2**30


def test_a_moment_of_a_recording_becomes_a_snapshot(recorded: str, tmp_path: Path) -> None:
    snapshot = str(tmp_path / "c.json")
    assert run_clusterview("snapshot", "--replay", recorded, "--at", "+5", "-o", snapshot).returncode == 0
    again = run_clusterview("--dry-run", "--model", "llama-3.1-8b", "--cluster", snapshot)
    assert again.returncode == 0


def test_a_file_that_is_cut_off_is_said_to_be(recorded: str, tmp_path: Path) -> None:
    (tmp_path / "cut.cvr").write_bytes(Path(recorded).read_bytes()[:-30])
    done = run_clusterview("--once", "--replay", str(tmp_path / "cut.cvr"))
    assert done.returncode == 0 and "cut.cvr is cut off after 20" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    (tmp_path / "bad.cvr").write_bytes(b"x" * 5000)
    assert "is not a recording" in one_line_error(
        run_clusterview("--once", "--replay", str(tmp_path / "bad.cvr"))
    )


def test_this_machine_is_recorded_until_a_signal(tmp_path: Path) -> None:
    path = tmp_path / "r.cvr"
    environment = {**os.environ, "CLUSTERVIEW_STATE_DIR": str(tmp_path / "state")}
    environment.pop("RAY_ADDRESS", None)
    command = [sys.executable, "-m", "tui", "record", str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        assert "recording this machine; Ctrl-C ends it" in process.stderr.readline()
        time.sleep(1.5)
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()
        assert process.wait(PATIENCE_S) == 0
    assert said.startswith("clusterview: wrote 0:0") and str(path) in said
    recording = open_recording(path)
    assert recording.header.title == "this machine" and recording.cut_off == ""
    assert [one.name for one in tmp_path.iterdir() if one.name != "state"] == ["r.cvr"]
    assert "File exists" in one_line_error(run_clusterview("record", str(path)))
