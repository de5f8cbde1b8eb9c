"""A saved cluster is read back as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cluster.cluster_spec import parse_cluster_spec
from cluster.errors import BadInput
from cluster.inventory import GpuProcess
from cluster.snapshot import cluster_from_argument, load_cluster, save_cluster
from tests.cluster.planner.ask import LLAMA_70B, ask, with_gpu


def test_a_saved_cluster_gives_the_same_plan(tmp_path: Path) -> None:
    cluster = parse_cluster_spec("2x4xA100-80GB")
    cluster = with_gpu(cluster, 0, 1, memory_free_bytes=7, processes=(GpuProcess(pid=3, name="x"),))
    save_cluster(cluster, tmp_path / "cluster.json")
    loaded = load_cluster(tmp_path / "cluster.json")
    assert loaded == cluster.model_copy(update={"source": "file"})
    before, after = ask(LLAMA_70B, cluster), ask(LLAMA_70B, loaded)
    assert [candidate.label for candidate in before.candidates] == [c.label for c in after.candidates]


def test_a_file_wins_over_a_spec_of_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_cluster(parse_cluster_spec("8xL4"), tmp_path / "1xH100")
    monkeypatch.chdir(tmp_path)
    assert cluster_from_argument("1xH100").num_gpus == 8
    assert cluster_from_argument("2xH100").num_gpus == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is not JSON"),
        ('{"format": "clusterview-cluster", "version": 1, "clu', "is not JSON"),
        ("[1, 2]", "is not a cluster snapshot"),
        ('{"format": "clusterview-cluster", "version": 99}', "version 99"),
        (
            '{"format": "clusterview-cluster", "version": 1, "cluster": {"source": "spec", "nodes": 3}}',
            "cluster.nodes",
        ),
        ('{"format": "clusterview-cluster", "version": 1}', "cluster"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        load_cluster(path)
    assert expected in caught.value.message and "\n" not in caught.value.one_line()


def test_repeated_names_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.json"
    save_cluster(parse_cluster_spec("2x1xL4"), path)
    body = json.loads(path.read_text())
    body["cluster"]["nodes"][1]["node_id"] = "node-1"
    path.write_text(json.dumps(body))
    with pytest.raises(BadInput, match="same node_id"):
        load_cluster(path)


def test_neither_file_nor_spec(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="neither a file nor a cluster spec"):
        cluster_from_argument(str(tmp_path / "absent.json"))
    with pytest.raises(BadInput, match="is not a regular file"):
        load_cluster(tmp_path)
