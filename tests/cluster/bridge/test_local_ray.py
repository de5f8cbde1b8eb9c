"""From this machine's GPUs to an answer: probe, local Ray, two ranks with a real all-reduce, router.

The GPUs are the fake driver library's, so the ranks compute on the CPU; everything else is what runs on GPUs.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import httpx
import pytest

from cluster.bridge.local_session import LocalSession
from cluster.catalog.models import load_model
from cluster.cli.session_view import SessionView, finish
from cluster.deploy.order import OrderTerms, make_order
from cluster.deploy.spec import DeploymentSpec
from cluster.deploy.status import DeploymentState, DeploymentStatus
from cluster.inventory import Cluster
from cluster.planner.plan import plan
from cluster.planner.request import PlanRequest
from tests.cluster.probe.conftest import FakeNvml, fake_nvml, libraries

__all__ = ["fake_nvml", "libraries"]

pytestmark = pytest.mark.ray

START_S = 180.0
MODEL = "meta-llama/Llama-3.1-8B-Instruct"


def order(cluster: Cluster) -> DeploymentSpec:
    # A stand-in on the CPU, ordered on GPUs that only NVML shows.
    simulated = cluster.model_copy(update={"simulated": True})
    planned = plan(simulated, load_model(MODEL), PlanRequest(tp=2, dp=1, engine="builtin"))
    assert planned.recommended is not None
    spec = make_order(planned, planned.recommended, OrderTerms(time.time(), name="local-test"))
    return spec.model_copy(update={"simulated": False})


def wait_ready(view: SessionView, name: str) -> DeploymentStatus:
    ends = (DeploymentState.READY, DeploymentState.FAILED)
    view.wait(lambda: (status := view.find(name)) is not None and status.state in ends, START_S)
    status = view.find(name)
    assert status is not None
    assert status.state is DeploymentState.READY, status.reason
    return status


@pytest.fixture
def on_two_gpus(fake_nvml: FakeNvml, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in fake_nvml(gpus=2).items():
        if os.environ.get(name) != value:
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("CLUSTERVIEW_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.mark.usefixtures("on_two_gpus")
def test_deploying_on_this_machine() -> None:
    with SessionView(LocalSession(), shows_progress=False) as view:
        cluster = view.settled_cluster()
        assert cluster.source == "nvml"
        assert view.settled_deployments() == ()
        spec = order(cluster)
        finish(view.session.deploy(spec), START_S)
        status = wait_ready(view, spec.name)
        assert [rank.gpu_uuid for rank in status.ranks] == ["GPU-fake-0", "GPU-fake-1"]
        with httpx.Client(base_url=status.endpoint or "", timeout=60.0) as client:
            assert client.get("/health").json()["status"] == "ok"
            body = {"model": status.model, "prompt": "hello", "max_tokens": 8, "temperature": 0}
            answer = client.post("/v1/completions", json=body).json()
            assert answer["usage"] == {"prompt_tokens": 5, "completion_tokens": 8, "total_tokens": 13}
            metrics = client.get("/metrics").text
        assert 'clusterview_requests_total{replica="0"} 1.0' in metrics
        assert 'clusterview_ranks{replica="0",state="ready"} 2.0' in metrics

        def counted() -> tuple[int, int]:
            seen = view.find(spec.name)
            return (seen.replicas[0].requests_total, seen.replicas[0].output_tokens_total) if seen else (0, 0)

        # The proofs at the start and of /health are nobody's requests: the screen counts as the router.
        assert view.wait(lambda: counted() == (1, 8), 20.0), counted()
        assert 'clusterview_output_tokens_total{replica="0"} 8.0' in metrics
        finish(view.session.stop(spec.name), 60.0)
        view.wait(lambda: view.find(spec.name) is None, 60.0)
