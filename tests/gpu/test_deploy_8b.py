"""An 8B model with dummy weights in bfloat16 on one GPU: predicted against measured memory, answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import openai
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
from cluster.units import GIB, format_gib

pytestmark = [pytest.mark.gpu, pytest.mark.ray]

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
START_S = 400.0
# Of the prediction: what a memory model is worth to somebody who plans by it.
TOLERANCE = 0.10


@pytest.fixture
def view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SessionView]:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device (a CPU build, or a driver that is too old)")
    monkeypatch.setenv("CLUSTERVIEW_STATE_DIR", str(tmp_path))
    with SessionView(LocalSession()) as view:
        yield view


def order(cluster: Cluster) -> DeploymentSpec:
    request = PlanRequest(
        tp=1, pp=1, dp=1, max_model_len=8192, max_num_seqs=16, engine="builtin", load_format="dummy"
    )
    planned = plan(cluster, load_model(MODEL), request)
    if planned.recommended is None:
        pytest.skip(f"the model does not fit here: {planned.advice}")
    return make_order(planned, planned.recommended, OrderTerms(time.time(), name="gpu-test"))


def used_bytes(view: SessionView, uuid: str, after_s: float) -> int:
    """Return what NVML says is used, in a reading that came later than `after_s` (Unix time)."""

    def fresh() -> list[int | None]:
        nodes = [node for node in view.readings if node.taken_at_s > after_s and node.state == "ok"]
        return [gpu.memory_used_bytes for node in nodes for gpu in node.gpus if gpu.uuid == uuid]

    view.wait(lambda: bool(fresh()), 60.0)
    (used,) = fresh()
    assert used is not None
    return used


def wait_ready(view: SessionView, name: str) -> DeploymentStatus:
    ends = (DeploymentState.READY, DeploymentState.FAILED)
    view.wait(lambda: (status := view.find(name)) is not None and status.state in ends, START_S)
    status = view.find(name)
    assert status is not None, "it never showed"
    assert status.state is DeploymentState.READY, status.reason
    return status


def test_an_8b_model_takes_what_was_predicted_and_answers(view: SessionView) -> None:
    spec = order(view.settled_cluster())
    (place,) = spec.ranks
    assert (spec.device, spec.dtype) == ("cuda", "bf16")
    assert place.planned_bytes is not None
    before = used_bytes(view, place.gpu_uuid, 0.0)
    finish(view.session.deploy(spec), START_S)
    status = wait_ready(view, spec.name)
    measured = used_bytes(view, place.gpu_uuid, time.time()) - before
    print(f"\npredicted {format_gib(place.planned_bytes)}, measured {format_gib(measured)}")
    assert measured > 15 * GIB
    assert abs(measured - place.planned_bytes) <= TOLERANCE * place.planned_bytes
    check_answers(status)
    finish(view.session.stop(spec.name), 120.0)
    after = used_bytes(view, place.gpu_uuid, time.time() + 2.0)
    assert after - before < GIB


def check_answers(status: DeploymentStatus) -> None:
    """Dummy weights say nonsense; as many tokens as asked for, and the same again at temperature 0."""
    client = openai.OpenAI(base_url=f"{status.endpoint}/v1", api_key="none", timeout=120.0)
    with client:
        ask = {"model": status.model, "prompt": "Hello", "max_tokens": 32, "temperature": 0}
        answers = [client.completions.create(**ask) for _ in range(2)]  # type: ignore[call-overload]
    for answer in answers:
        assert answer.usage.completion_tokens == 32 or answer.choices[0].finish_reason == "stop"
    assert answers[0].choices[0].text == answers[1].choices[0].text
