"""Tests that start the real vLLM, in its build for CPUs: `make test-vllm` names its interpreter."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ray.conftest import fake_nvml_library  # noqa: F401
from tests.ray.real_ray import RealNode, RealRay
from tests.vllm.servers import Engine, end_servers
from tests.vllm.tiny_model import make_tiny_model

VARIABLE = "CLUSTERVIEW_VLLM_PYTHON"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder; each may take minutes, since vLLM starts in half a minute."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.vllm)
            item.add_marker(pytest.mark.timeout(500))


@pytest.fixture(scope="session")
def vllm_python() -> str:
    """The interpreter that has vLLM."""
    python = os.environ.get(VARIABLE, "")
    if not python:
        pytest.skip(f"`make test-vllm` runs it: {VARIABLE} names no interpreter that has vLLM")
    return python


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama with weights and tokenizer; its name is 'tiny'."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def engine(
    vllm_python: str,
    tiny: Path,
    fake_nvml_library: Path,  # noqa: F811
) -> Iterator[Engine]:
    """A Ray cluster with vLLM: one node with two GPUs and two with one, by a fake NVML."""
    with RealRay(fake_nvml_library) as ray:
        ray.start_head()
        ray.start_nodes(RealNode("pair", nvml_gpus=2), RealNode("a", nvml_gpus=1), RealNode("b", nvml_gpus=1))
        try:
            yield Engine(ray, vllm_python, tiny)
        finally:
            end_servers(tiny)
