"""Deployments on a real multi-node Ray cluster: exact GPUs, real tokens, failures, and no leftovers."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from pathlib import Path

import pytest

from cluster.bridge.events import Event, TokenSeen
from cluster.bridge.keeper.attach import attach
from cluster.bridge.open_session import open_session
from cluster.cli.session_view import SessionView
from cluster.deploy.status import DeploymentStatus
from cluster.errors import BadInput, DeployFailed, UnknownName
from cluster.planner.layout import Layout
from tests.ray.conftest import record_of
from tests.ray.support import (
    PLANNED_BYTES,
    SPEC,
    START_S,
    order,
    pids_of_actor,
    ranks_in,
    ray_holds,
    wait_until,
)

pytestmark = pytest.mark.ray

# Not the lowest indices, and on both nodes: Ray would not choose these by itself.
TWO_BY_TWO = [[(0, 2), (0, 3)], [(1, 1), (1, 3)]]


def start(
    view: SessionView, name: str, gpus: list[list[tuple[int, int]]], **changes: object
) -> DeploymentStatus:
    assert view.cluster is not None
    view.session.deploy(order(view.cluster, name, gpus, **changes)).result(START_S)
    assert view.wait(lambda: state_of(view, name) in ("ready", "failed"), START_S), view.find(name)
    status = view.find(name)
    assert status is not None
    return status


def state_of(view: SessionView, name: str) -> str:
    status = view.find(name)
    return "absent" if status is None else str(status.state)


def held(view: SessionView) -> dict[str, object]:
    attachment = attach(SPEC, lambda message, fraction: None, start=False)
    assert attachment is not None
    try:
        return ray_holds(attachment.record, attachment.address)
    finally:
        attachment.connection.close()


def temp_dir() -> str:
    return str(Path(record_of(SPEC).socket_path).parent)


def post(endpoint: str | None, path: str, body: dict[str, object]) -> dict[str, object]:
    request = urllib.request.Request(
        f"{endpoint}{path}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, object] = json.load(answer)
    return found


def ask(view: SessionView, name: str, text: str, max_tokens: int) -> list[TokenSeen]:
    """Send a prompt through a second session and return the events of the answer."""
    seen: list[TokenSeen] = []

    class Listening(SessionView):
        def _take(self, event: Event) -> None:
            if isinstance(event, TokenSeen):
                seen.append(event)
            super()._take(event)

    session = open_session(address=None, simulate=SPEC)
    with Listening(session, shows_progress=False) as second:
        second.wait(lambda: second.find(name) is not None, START_S)
        session.prompt(name, "p", text, max_tokens).result(START_S)
    return seen


def test_a_deployment_from_order_to_stop(view: SessionView) -> None:
    """TP=2, DP=2 on chosen GPUs: exactly these are claimed, serve, show in the readings, and are freed."""
    status = start(view, "whole", TWO_BY_TWO)
    assert status.state == "ready", status.reason
    assert ranks_in(status, "ready") == 4
    assert all(rank.memory_used_bytes for rank in status.ranks)

    answer = post(status.endpoint, "/v1/completions", {"model": "tiny", "prompt": "ab", "max_tokens": 5})
    assert answer["usage"]["completion_tokens"] == 5  # type: ignore[index]
    with urllib.request.urlopen(f"{status.endpoint}/health", timeout=60) as health:
        assert health.status == 200

    tokens = ask(view, "whole", "hello", 6)
    assert tokens[-1].done and tokens[-1].error is None
    assert all(token.prompt_id == "p" and token.replica in (0, 1) for token in tokens)

    claims = held(view)
    assert sorted(claims["free_gpus"].values()) == [0, 2, 2]  # type: ignore[attr-defined]
    assert len(claims["groups"]) == 4  # type: ignore[arg-type]
    planned = {(rank.node_id, rank.gpu_uuid) for rank in status.ranks}

    def shows_plan() -> bool:
        full = {
            (node.node_id, gpu.uuid)
            for node in view.readings
            for gpu in node.gpus
            if (gpu.memory_used_bytes or 0) >= PLANNED_BYTES
        }
        return full == planned

    assert view.wait(shows_plan, 10)
    assert view.wait(lambda: claimed(view) == {uuid: "whole" for _, uuid in planned}, 10)

    view.session.stop("whole").result(START_S)
    assert view.wait(lambda: state_of(view, "whole") == "absent" and not claimed(view), 10)
    after = held(view)
    assert after["groups"] == [] and after["actors"] == []
    assert sorted(after["free_gpus"].values()) == [0, 4, 4]  # type: ignore[attr-defined]
    assert wait_until(lambda: not pids_of_actor(temp_dir(), "RankActor"), 10)


def claimed(view: SessionView) -> dict[str, str]:
    assert view.cluster is not None
    gpus = [gpu for node in view.cluster.nodes for gpu in node.gpus]
    return {gpu.uuid: gpu.claimed_by for gpu in gpus if gpu.claimed_by}


def test_invalid_orders_are_refused(view: SessionView) -> None:
    """A taken name, a claimed GPU, too little free memory, an unsupported model, an unknown name."""
    assert view.cluster is not None
    first = start(view, "first", [[(0, 0)]])
    assert first.state == "ready"
    refusals = [
        (order(view.cluster, "first", [[(0, 1)]]), BadInput, "named first"),
        (order(view.cluster, "second", [[(0, 0)]]), DeployFailed, "held by first"),
        (order(view.cluster, "second", [[(0, 1), (0, 1)]]), BadInput, "two ranks on one GPU"),
        (
            order(view.cluster, "second", [[(0, 1)]], layout=Layout(dp=2)),
            BadInput,
            "needs 2 GPUs",
        ),
    ]
    too_large = order(view.cluster, "second", [[(0, 1)]])
    place = too_large.ranks[0].model_copy(update={"planned_bytes": 90 * 2**30})
    refusals.append((too_large.model_copy(update={"ranks": (place,)}), DeployFailed, "GiB free now"))
    for spec, kind, words in refusals:
        with pytest.raises(kind, match=words):
            view.session.deploy(spec).result(START_S)
    with pytest.raises(UnknownName, match="no deployment named firts"):
        view.session.stop("firts").result(START_S)
    view.session.stop("first").result(START_S)


def test_a_permanent_failure_is_reported_and_frees_the_gpus(view: SessionView) -> None:
    config = {**order(view.cluster, "x", [[(0, 0)]]).model.config, "num_attention_heads": 7}  # type: ignore[arg-type]
    model = order(view.cluster, "x", [[(0, 0)]]).model.model_copy(update={"config": config})  # type: ignore[arg-type]
    status = start(view, "broken", [[(0, 0)]], model=model)
    assert status.state == "failed"
    assert "replica 0" in status.reason and status.replicas[0].restarts == 0
    assert wait_until(lambda: held(view)["groups"] == [], 20)
    view.session.stop("broken").result(START_S)


@pytest.mark.long
def test_a_killed_rank_restarts_its_replica_while_the_other_serves(view: SessionView) -> None:
    status = start(view, "gang", TWO_BY_TWO)
    assert status.state == "ready"
    before = pids_of_actor(temp_dir(), "RankActor")
    assert len(before) == 4
    os.kill(before[0], signal.SIGKILL)
    assert view.wait(lambda: state_of(view, "gang") == "degraded", 30), view.find("gang")
    answer = post(status.endpoint, "/v1/completions", {"model": "tiny", "prompt": "ab", "max_tokens": 3})
    assert answer["usage"]["completion_tokens"] == 3  # type: ignore[index]
    assert view.wait(lambda: state_of(view, "gang") == "ready", START_S), view.find("gang")
    restarted = view.find("gang")
    assert restarted is not None
    assert sorted(replica.restarts for replica in restarted.replicas) == [0, 1]
    after = pids_of_actor(temp_dir(), "RankActor")
    # The whole group of the killed rank is replaced, and the other group is untouched.
    assert len(set(before) & set(after)) == 2 and len(after) == 4
    assert [rank.gpu_index for rank in restarted.ranks] == [2, 3, 1, 3]

    (controller,) = pids_of_actor(temp_dir(), "Controller")
    os.kill(controller, signal.SIGKILL)
    assert view.wait(lambda: state_of(view, "gang") == "starting", 30), view.find("gang")
    assert view.wait(lambda: state_of(view, "gang") == "ready", START_S), view.find("gang")
    assert not set(after) & set(pids_of_actor(temp_dir(), "RankActor"))
    assert len(held(view)["groups"]) == 4  # type: ignore[arg-type]
    view.session.stop("gang").result(START_S)
    assert held(view)["groups"] == []


def answers(endpoint: str | None) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/health", timeout=20) as health:
            return bool(health.status == 200)
    except OSError:
        return False


def test_stages_on_two_nodes(view: SessionView) -> None:
    """A pipeline over two nodes answers, and a restarted router serves on the same port."""
    status = start(view, "pipe", [[(0, 0), (0, 1), (1, 0), (1, 1)]], pp=2)
    assert status.state == "ready", status.reason
    answer = post(status.endpoint, "/v1/completions", {"model": "tiny", "prompt": "ab", "max_tokens": 4})
    assert answer["usage"]["completion_tokens"] == 4  # type: ignore[index]

    (router,) = pids_of_actor(temp_dir(), "RouterActor")
    os.kill(router, signal.SIGKILL)
    assert wait_until(lambda: answers(status.endpoint), 30)
    assert pids_of_actor(temp_dir(), "RouterActor") != [router]
    view.session.stop("pipe").result(START_S)
