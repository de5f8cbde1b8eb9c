"""On a Ray node, CUDA_VISIBLE_DEVICES is what its raylet was started with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cluster.bridge.driver.gpu_counts import short_disagreement
from cluster.bridge.driver.node_environment import node_environment
from cluster.inventory import Gpu, Node
from cluster.probe.visible import Visible, with_excluded

# Ray hides every GPU from an actor that holds none.
OWN = {"PATH": "/bin", "CUDA_VISIBLE_DEVICES": ""}


def proc(tmp_path: Path, comm: str, environ: bytes) -> Path:
    folder = tmp_path / str(os.getppid())
    folder.mkdir()
    (folder / "comm").write_text(f"{comm}\n")
    (folder / "environ").write_bytes(environ)
    return tmp_path


@pytest.mark.parametrize(
    ("comm", "environ", "found"),
    [
        ("raylet", b"HOME=/root\0CUDA_VISIBLE_DEVICES=2,3\0A=b\0", "2,3"),
        ("raylet", b"CUDA_VISIBLE_DEVICES=\0", ""),
        ("raylet", b"HOME=/root\0", None),
        ("bash", b"CUDA_VISIBLE_DEVICES=2,3\0", None),
    ],
)
def test_the_raylet_s_value_counts(tmp_path: Path, comm: str, environ: bytes, found: str | None) -> None:
    env = node_environment(OWN, proc(tmp_path, comm, environ))
    assert (env.get("CUDA_VISIBLE_DEVICES"), env["PATH"]) == (found, "/bin")


def test_an_environment_that_cannot_be_read_hides_nothing(tmp_path: Path) -> None:
    assert node_environment(OWN, tmp_path) == {"PATH": "/bin"}


def test_ray_s_count_agrees_with_the_gpus_that_are_visible() -> None:
    gpus = [Gpu(index=i, uuid=f"GPU-{i}", type="H100", memory_total_bytes=1) for i in range(8)]
    hidden = Node(node_id="n", name="n", gpus=with_excluded(gpus, Visible(value="2,3")))
    assert short_disagreement(2, hidden) is None
    assert short_disagreement(3, hidden) == "Ray counts 3 GPUs, NVML shows 8"
