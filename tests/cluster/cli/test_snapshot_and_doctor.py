"""`clusterview snapshot` and `clusterview doctor`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cluster.cli.run_clusterview import one_line_error, run_clusterview


def test_a_snapshot_is_planned_like_what_it_was_taken_of(tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    assert run_clusterview("snapshot", "--cluster", "2x4xA100-80GB", "-o", str(path)).returncode == 0
    plan = ("--dry-run", "--model", "llama-3.1-70b", "--json", "--cluster")
    was = json.loads(run_clusterview(*plan, "2x4xA100-80GB").stdout)
    now = json.loads(run_clusterview(*plan, str(path)).stdout)
    assert now["cluster"]["source"] == "file" and now["recommended"] == was["recommended"]


def test_a_snapshot_goes_to_stdout_by_itself() -> None:
    done = run_clusterview("snapshot", "--cluster", "1xL4")
    assert json.loads(done.stdout)["cluster"]["nodes"][0]["gpus"][0]["type"] == "L4"


def test_a_snapshot_that_cannot_be_written(tmp_path: Path) -> None:
    done = run_clusterview("snapshot", "--cluster", "1xL4", "-o", str(tmp_path / "absent" / "x.json"))
    assert "cannot write" in one_line_error(done)
    full = run_clusterview("snapshot", "--cluster", "1xL4", "-o", "/dev/full")
    assert (full.returncode, full.stdout) == (3, "")
    assert (
        full.stderr == "clusterview: cannot write /dev/full: No space left on device. Free some space there\n"
    )


def test_the_doctor_names_what_it_looked_at() -> None:
    done = run_clusterview("doctor", "--cluster", "2x4xL4")
    assert done.returncode == 0
    for told in ("Python", "ray", "torch", "2 nodes x 4 L4"):
        assert told in done.stdout


def test_the_doctor_s_findings_as_json() -> None:
    findings = json.loads(run_clusterview("doctor", "--json", "--cluster", "1xL4").stdout)["findings"]
    assert {finding["state"] for finding in findings} <= {"ok", "warn", "fail"}
    assert {"Python", "textual", "ray", "torch", "terminal", "records", "limits", "cluster"} == {
        finding["subject"] for finding in findings
    }
