"""Orders without a screen: what is asked, sent and reported."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Any

import pytest

from cluster.bridge.events import DeploymentsSeen, Progress
from cluster.deploy.status import DeploymentState, DeploymentStatus, RankState, RankStatus, ReplicaStatus
from cluster.errors import DeployFailed
from cluster.planner.request import PlanRequest
from tests.ray.support import order
from tests.tui.builders import MODEL, NOW_S, make_cluster, make_plan, make_spec, opening_events
from tests.tui.fake_session import FakeSession
from tui import orders as orders_module
from tui.confirmations import Confirmation
from tui.context import AppContext
from tui.orders import Orders
from tui.planning import Planning
from tui.question import Question
from tui.setup import Setup

CLUSTER = make_cluster()


class RecordingView:
    """A screen that agrees to everything, or to nothing, and remembers what it was asked to show."""

    def __init__(self, agrees: bool = True) -> None:
        self.agrees = agrees
        self.messages: list[str] = []
        self.notices: list[str] = []
        self.questions: list[str] = []
        self.confirmations: list[Confirmation] = []
        self.in_front: list[bool] = []

    def say(self, message: str, kind: str = "info") -> None:
        self.messages.append(message)

    def show_notice(self, title: str, message: str, hint: str = "") -> None:
        self.notices.append(f"{title}: {message}. {hint}")

    async def confirm(self, confirmation: Confirmation) -> bool:
        self.questions.append(confirmation.title)
        self.confirmations.append(confirmation)
        return self.agrees

    def show_plan(self) -> None: ...

    def show_orders(self) -> None: ...

    def show_deployments(self, shown: bool) -> None:
        self.in_front.append(shown)


async def ready(
    session: FakeSession, view: RecordingView, **setup: Any
) -> tuple[Orders, Planning, AppContext]:
    """Build orders on a cluster that is known and planned for."""
    chosen: dict[str, Any] = {"plan": make_plan, "make_spec": make_spec, "clock": lambda: NOW_S}
    context = AppContext(Setup(**{**chosen, **setup}), session)
    for event in opening_events(CLUSTER):
        context.store.apply(event)
    planning = Planning(context, Question((MODEL,), PlanRequest()))
    assert await planning.replan()
    return Orders(context, planning, view), planning, context


async def test_an_order_is_asked_for_sent_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders_module, "_SHOWS_UP_S", 0.0)
    session, view = FakeSession(), RecordingView()
    orders, planning, _ = await ready(session, view)
    assert planning.plan is not None
    spec = await orders.prepare(planning.plan.candidates[1])
    assert spec is not None and spec.label == "TP=2, PP=2, DP=2"
    assert view.questions == [f"Deploy {spec.name}?"]
    assert session.orders == [], "nothing is sent before the answer is acted on"
    await orders.deploy(spec)
    assert session.orders == [("deploy", spec)]
    assert view.in_front == [True]
    assert not orders.open.deploying


async def test_nothing_is_deployed_without_confirmation() -> None:
    session, view = FakeSession(), RecordingView(agrees=False)
    orders, planning, _ = await ready(session, view)
    assert planning.plan is not None
    assert await orders.prepare(planning.plan.candidates[0]) is None
    assert view.questions and not session.orders


async def deployed(
    session: FakeSession, view: RecordingView, gpus: list[list[tuple[int, int]]]
) -> tuple[Orders, AppContext, DeploymentStatus]:
    """Build orders on a cluster where a deployment holds these GPUs."""
    spec = order(CLUSTER, "pair", gpus)
    session.described = spec
    orders, _, context = await ready(session, view)
    places = (place.model_dump(exclude={"planned_bytes", "layers"}) for place in spec.ranks)
    status = DeploymentStatus(
        name="pair",
        model="tiny",
        label=spec.label,
        state=DeploymentState.READY,
        ranks=tuple(RankStatus(**fields, state=RankState.READY) for fields in places),
        replicas=tuple(ReplicaStatus(replica=n, ready=True, in_flight=2) for n in range(len(gpus))),
    )
    context.store.apply(DeploymentsSeen(deployments=(status,)))
    return orders, context, status


async def test_a_replica_is_added_on_free_gpus_after_a_question() -> None:
    session, view = FakeSession(), RecordingView()
    orders, _, status = await deployed(session, view, [[(0, 0), (0, 1)]])
    wanted = await orders.prepare_scale(status, 1)
    assert wanted is not None and wanted.label == "TP=2, DP=2"
    assert {place.gpu_uuid for place in wanted.ranks if place.replica == 1} == {"GPU-0-2", "GPU-0-3"}
    (asked,) = view.confirmations
    assert asked.title == "Add a replica to pair?"
    assert dict(asked.rows)["GPUs"] == "2 GPUs will be claimed\nnode-0: 2 3"
    assert [verb for verb, _ in session.orders] == ["describe"]
    await orders.scale(wanted)
    assert session.orders[-1] == ("scale", wanted)
    assert not orders.open.scaling and view.messages[-1] == "pair runs 2 replicas."


async def test_the_replica_that_ends_is_named_and_kept_unless_confirmed() -> None:
    session, view = FakeSession(), RecordingView(agrees=False)
    orders, _, status = await deployed(session, view, [[(0, 0)], [(0, 1)]])
    assert await orders.prepare_scale(status, -1) is None
    (asked,) = view.confirmations
    rows = dict(asked.rows)
    assert asked.title == "End a replica of pair?" and rows["ends"].startswith("R1")
    assert rows["GPUs"] == "1 GPU will be freed\nnode-0: 1"
    assert rows["requests"] == "2 in flight, with 300 s to finish"
    assert [verb for verb, _ in session.orders] == ["describe"]


async def test_without_free_gpus_the_screen_says_which_are_missing() -> None:
    session, view = FakeSession(), RecordingView()
    wide = [[(node, index) for index in range(4)] for node in range(2)]
    orders, _, status = await deployed(session, view, wide)
    assert await orders.prepare_scale(status, 1) is None
    (notice,) = view.notices
    assert "one more replica needs 4 free GPUs, 0 can be used" in notice and not view.confirmations


async def test_an_order_in_flight_is_open_and_a_failed_one_is_reported_and_closed() -> None:
    session, view = FakeSession(), RecordingView()
    sent: Future[None] = Future()
    session.deploy = lambda spec: sent  # type: ignore[method-assign]
    orders, planning, context = await ready(session, view)
    assert planning.plan is not None
    spec = context.setup.make_spec(planning.plan, planning.plan.candidates[0], ())
    task = asyncio.create_task(orders.deploy(spec))
    await asyncio.sleep(0)
    assert orders.open.ordered == spec.name
    sent.set_exception(DeployFailed("node-0 GPU 0 is held by another", "Stop that first"))
    await task
    assert not orders.open.deploying
    assert view.notices == ["The order failed: node-0 GPU 0 is held by another. Stop that first"]
    assert view.in_front == [True, False]


async def test_no_order_is_sent_on_a_broken_connection() -> None:
    session, view = FakeSession(), RecordingView()
    orders, planning, context = await ready(session, view)
    assert planning.plan is not None
    spec = context.setup.make_spec(planning.plan, planning.plan.candidates[0], ())
    context.store.apply(Progress(message="joining again", interrupted=True))
    await orders.deploy(spec)
    await orders.stop("llama-1")
    assert session.orders == []
    assert len(view.messages) == 2


async def test_a_bug_in_the_planner_is_one_line_and_no_exception() -> None:
    def broken(*_: object) -> Any:
        raise ZeroDivisionError("division\nby zero")

    _, planning, context = await ready(FakeSession(), RecordingView())
    failing = Planning(AppContext(Setup(plan=broken), context.session, context.store), planning.question)
    assert await failing.replan()
    assert failing.plan is None
    assert failing.failure.startswith("The planner failed: ZeroDivisionError: division")
    assert "\n" not in failing.failure
