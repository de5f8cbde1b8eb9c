"""Ray names GPUs as the node's CUDA_VISIBLE_DEVICES does."""

from __future__ import annotations

import pytest

from cluster.deploy.assigned_gpus import indices_of
from cluster.inventory import Cluster, Gpu, Node
from cluster.probe import local


def test_indices_are_taken_as_they_are() -> None:
    assert indices_of([]) == []
    assert indices_of([3, 1]) == [3, 1]
    assert indices_of(["3", "1"]) == [3, 1]


def test_uuids_are_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = tuple(Gpu(index=i, uuid=f"GPU-a{i}", type="H100", memory_total_bytes=1) for i in range(4))
    here = Cluster(source="nvml", nodes=(Node(node_id="n", name="n", gpus=gpus),))
    monkeypatch.setattr(local, "read_cluster", lambda: here)
    assert indices_of(["GPU-a3", "GPU-a1"]) == [1, 3]
