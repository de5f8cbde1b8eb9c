"""The pynvml module may be missing or not be NVIDIA's."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from cluster.probe.local import read_cluster
from cluster.probe.nvml import load_binding
from cluster.probe.query import NvmlGone
from tests.cluster.probe.conftest import FakeNvml

IMPOSTOR = "def nvmlInit():\n    raise SystemExit('not the module you want')\n"


def without_ray(name: str, package: str | None = None) -> None:
    assert name == "ray"


@pytest.fixture
def impostor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "pynvml.py"
    path.write_text(IMPOSTOR)
    module = ModuleType("pynvml")
    module.__file__ = str(path)
    monkeypatch.setitem(sys.modules, "pynvml", module)
    return path


def test_nvidias_binding_is_used() -> None:
    assert hasattr(load_binding(), "nvmlDeviceGetMemoryInfo")


def test_another_module_of_that_name_is_refused_with_the_fix(
    impostor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", without_ray)
    with pytest.raises(NvmlGone, match="is not NVIDIA's") as refused:
        load_binding()
    assert str(impostor) in str(refused.value)
    assert "pip uninstall" in str(refused.value)


def test_no_binding_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(importlib.util, "find_spec", without_ray)
    with pytest.raises(NvmlGone, match="pip install nvidia-ml-py"):
        load_binding()


def test_rays_own_copy_is_used_instead(fake_nvml: FakeNvml, impostor: Path) -> None:
    """A Ray node without our dependency is still read, without importing ray."""
    env = {**fake_nvml(gpus=4), "PYTHONPATH": str(impostor.parent)}
    node = read_cluster(timeout_s=40.0, env=env).nodes[0]
    assert node.error is None
    assert [gpu.type for gpu in node.gpus] == ["A100-80GB"] * 4
