"""What weights take beyond their own bytes."""

from __future__ import annotations

import pytest

from cluster.catalog.engine_catalog import load_engine
from cluster.catalog.hf_config.read_model import model_from_config
from cluster.catalog.models.load import load_config
from cluster.planner.layout import Layout
from cluster.planner.memory.allocation import kept_rest_bytes
from cluster.planner.memory.weights import stage_weights_bytes
from cluster.units import GIB
from tests.cluster.planner.memory.specs import whole

MIB = 1 << 20


@pytest.mark.parametrize(
    ("size_mib", "rest_mib"),
    [(31.5, 0.5), (259, 1), (24.5, 0), (192, 0), (9.5, 0)],
)
def test_a_rest_of_up_to_one_mebibyte_stays_with_its_tensor(size_mib: float, rest_mib: float) -> None:
    assert kept_rest_bytes(int(size_mib * MIB)) == int(rest_mib * MIB)


def test_weights_are_what_the_engine_logged() -> None:
    """vLLM: 'Model loading took 14.25 GiB' for the 14.19 GiB of Qwen2.5-7B and its rotary table."""
    spec = model_from_config(load_config("Qwen/Qwen2.5-7B-Instruct"), "m", "catalog")
    size = stage_weights_bytes(spec, Layout(), whole(spec), load_engine("vllm", "0.18.0"))
    assert size / GIB == pytest.approx(14.2487, abs=0.001)


@pytest.mark.parametrize(("version", "more"), [("0.7.0", 0.0), ("0.7.2", 0.21), ("0.8.0", 0.0)])
def test_latent_products_are_kept_by_some_releases(version: str, more: float) -> None:
    """Coder-V2-Lite on eight ranks: 3.97 GiB in 0.7.2 (engine log), of which 3.73 are weights."""
    spec = model_from_config(load_config("deepseek-ai/DeepSeek-Coder-V2-Lite-Instruct"), "m", "catalog")
    sizes = [
        stage_weights_bytes(spec, Layout(tp=8), whole(spec), load_engine("vllm", release))
        for release in (version, "0.7.0")
    ]
    assert (sizes[0] - sizes[1]) / GIB == pytest.approx(more, abs=0.02)
