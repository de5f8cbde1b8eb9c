"""Real nodes that lack something: reported before anything is claimed, one line per node, no restarts."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.bridge.open_session import open_session
from cluster.cli.session_view import SessionView, finish
from cluster.deploy.preflight import NodeVerdict
from cluster.deploy.spec import DeploymentSpec, ModelSource
from cluster.deploy.status import DeploymentState
from cluster.errors import DeployFailed
from tests.cluster.runtime.test_hub_cache import cached
from tests.ray.real_ray import RealNode, RealRay
from tests.ray.support import TINY_LLAMA, order

pytestmark = pytest.mark.ray

ORDER_S = 120.0
BROKEN, BARE = "gpu-broken", "gpu-bare"
# Looks like a CUDA build when asked for its version, and fails in a rank for a missing library.
_BROKEN_TORCH = """
import sys
if "-c" not in sys.orig_argv:
    raise ImportError("libcudart.so.12: cannot open shared object file")
__version__ = "2.9.0"
class version:
    cuda, hip = "12.8", None
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub cache with org/name in it."""
    folder = tmp_path_factory.mktemp("hub")
    (cached(folder, "abc", is_main=True) / "tokenizer.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def real_view(
    fake_nvml_library: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SessionView]:
    """A session on a head and two nodes with a GPU each: one without torch, one whose torch is broken."""
    stub = tmp_path_factory.mktemp("stub")
    (stub / "torch").mkdir()
    (stub / "torch" / "__init__.py").write_text(_BROKEN_TORCH)
    broken = RealNode(
        BROKEN, nvml_gpus=1, env={"PYTHONPATH": str(stub), "HF_HUB_CACHE": str(cache), "HF_HOME": ""}
    )
    with RealRay(fake_nvml_library) as ray, pytest.MonkeyPatch.context() as patch:
        ray.start_head()
        ray.start_nodes(broken, RealNode(BARE, nvml_gpus=1, lacks=("torch", "safetensors")))
        for name in [name for name in os.environ if name.startswith("RAY_")]:
            patch.delenv(name)
        for name, value in ray.ray_environment().items():
            patch.setenv(name, value)
        with SessionView(open_session(address=ray.address, simulate=None), shows_progress=False) as view:
            view.settled_cluster()
            yield view


def ordered(view: SessionView, name: str, source: ModelSource, *nodes: str) -> DeploymentSpec:
    """Return an order of one rank on the GPU of each of these nodes."""
    assert view.cluster is not None
    numbers = {node.name: number for number, node in enumerate(view.cluster.nodes)}
    gpus = [[(numbers[node], 0)] for node in nodes]
    return order(view.cluster, name, gpus, device="cuda", simulated=False, model=source, planned_bytes=2**20)


def dummy() -> ModelSource:
    return ModelSource(name="tiny", config=TINY_LLAMA)


def verdicts(view: SessionView) -> dict[str, NodeVerdict]:
    return {verdict.node: verdict for verdict in view.preflight}


def test_a_node_without_torch_is_named_before_anything_is_claimed(real_view: SessionView) -> None:
    spec = ordered(real_view, "bare", dummy(), BARE)
    with pytest.raises(DeployFailed, match=f"node {BARE}: torch is missing from its Python .*pip install"):
        finish(real_view.session.deploy(spec), ORDER_S)
    assert real_view.find("bare") is None
    seen = verdicts(real_view)
    assert seen[BARE].state == "failed" and seen[BARE].packages["torch"] is None
    # The interpreter that is named is the node's own.
    assert "without-torch" in (seen[BARE].python or "") and "without-torch" in seen[BARE].problems[0]
    assert seen["head"].state == "ok" and set(seen["head"].packages) >= {"starlette", "uvicorn"}


def test_a_check_asks_every_node_and_starts_nothing(real_view: SessionView) -> None:
    source = ModelSource(name="org/name", hub_id="org/name", config=TINY_LLAMA)
    finish(real_view.session.check(ordered(real_view, "both", source, BROKEN, BARE)), ORDER_S)
    seen = verdicts(real_view)
    assert real_view.find("both") is None
    assert seen[BROKEN].revision == "abc" and seen[BROKEN].state == "ok"
    assert [line.partition(":")[0] for line in seen[BARE].problems] == [f"node {BARE}"] * 2
    missing, weights = seen[BARE].problems
    assert "torch and safetensors are missing" in missing
    assert "org/name is not in the hub cache" in weights and "hf download org/name" in weights
    # The router runs on the head, which has no copy of the tokenizer.
    assert "the router runs there and needs the model's tokenizer" in seen["head"].problems[0]


def test_what_fails_only_in_a_rank_ends_the_deployment_at_once(real_view: SessionView) -> None:
    """A start that would fail in the same way is not repeated."""
    spec = ordered(real_view, "broken", dummy(), BROKEN)
    finish(real_view.session.deploy(spec), ORDER_S)
    began_s = time.monotonic()

    def failed() -> bool:
        status = real_view.find("broken")
        return status is not None and status.state is DeploymentState.FAILED

    try:
        assert real_view.wait(failed, ORDER_S)
        print(f"given up {time.monotonic() - began_s:.1f} s after the order")
        status = real_view.find("broken")
        assert status is not None and status.weights == "dummy"
        assert "libcudart.so.12" in status.reason and f"on node {BROKEN}" in status.reason
        assert [replica.restarts for replica in status.replicas] == [0]
    finally:
        finish(real_view.session.stop("broken"), ORDER_S)
