"""Verdicts on GPUs in what commands print: a snapshot keeps them, plans and the doctor name them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cluster.cli.main import main
from cluster.gpu_health import Finding, Health
from cluster.snapshot import load_cluster, save_cluster
from tests.cluster.health.scene import sick_cluster
from tests.cluster.planner.ask import with_gpu


@pytest.fixture
def snapshot(tmp_path: Path) -> str:
    path = tmp_path / "sick.json"
    save_cluster(sick_cluster(), path)
    return str(path)


def test_a_snapshot_keeps_verdicts(snapshot: str) -> None:
    assert load_cluster(Path(snapshot)).nodes == sick_cluster().nodes


def test_a_snapshot_of_a_snapshot_still_has_them(
    snapshot: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again.json"
    assert main(["snapshot", "--cluster", snapshot, "-o", str(again)]) == 0
    assert load_cluster(again).nodes == sick_cluster().nodes


def test_the_dry_run_says_what_health_changed(snapshot: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dry-run", "--model", "llama-3.1-70b", "--tp", "4", "--cluster", snapshot]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "note: 4 of its 4 GPUs are degraded, because no usable GPU is healthy: sick GPU" in text
    assert "Health 5 degraded, 3 unhealthy of 8 GPUs" in text
    assert "sick GPU 5 unhealthy, left out the GPU is lost" in text


def test_the_dry_run_s_json_has_a_verdict_for_each_gpu(
    snapshot: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--dry-run", "--json", "--model", "llama-3.1-70b", "--cluster", snapshot]) == 0
    document = json.loads(capsys.readouterr().out)
    verdicts = [gpu["health"]["verdict"] for gpu in document["cluster"]["nodes"][0]["gpus"]]
    assert verdicts.count("unhealthy") == document["health"]["unhealthy"] == 3


def test_the_doctor_warns_of_degraded_gpus_and_fails_on_unhealthy_ones(
    snapshot: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--json", "--cluster", snapshot]) != 0
    findings = {one["subject"]: one for one in json.loads(capsys.readouterr().out)["findings"]}
    assert (findings["sick GPU 3"]["state"], findings["sick GPU 3"]["told"]) == (
        "warn",
        "degraded: 4 of 18 NVLinks down",
    )
    assert findings["sick GPU 2"]["state"] == "fail"
    assert findings["sick GPU 2"]["told"] == (
        "2 uncorrectable memory errors (ECC) since the driver was loaded; "
        "a memory row is to be remapped at the next GPU reset"
    )


def test_a_file_cannot_make_a_gpu_unhealthy_without_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.json"
    odd = Health(state="unhealthy", findings=(Finding(code="lost", state="unhealthy", text="gone"),))
    save_cluster(with_gpu(sick_cluster(), 0, 0, health=odd), path)
    assert main(["--dry-run", "--cluster", str(path)]) == 2
    assert "health is 'unhealthy', but unhealthy_reason is null" in capsys.readouterr().err


def test_a_long_node_name_leaves_room_for_the_reasons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, cluster = tmp_path / "long.json", sick_cluster()
    node = cluster.nodes[0].model_copy(update={"name": "n" * 200})
    save_cluster(cluster.model_copy(update={"nodes": (node,)}), path)
    assert main(["--dry-run", "--model", "llama-3.1-70b", "--cluster", str(path)]) == 0
    out = capsys.readouterr().out
    assert "    4 of 18 NVLinks down" in out
