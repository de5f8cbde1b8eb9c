"""A key that does nothing now says why, and no order is sent twice."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace

import pytest

from cluster.bridge.events import DeploymentsSeen, Progress, SessionLost
from cluster.deploy.scaling_status import ScalingStatus
from cluster.deploy.status import DeploymentState, DeploymentStatus, ReplicaStatus
from cluster.errors import DeployFailed
from cluster.inventory import Cluster
from cluster.planner.fixes.fix import Fix, MoreGpus
from cluster.planner.layout import Layout
from cluster.planner.placement.form import Form
from cluster.planner.request import PlanRequest
from cluster.planner.result import Candidate, Rejection
from cluster.planner.rule import Rule
from tests.tui.builders import (
    MODEL,
    make_cluster,
    make_deployment,
    make_nothing_fits,
    make_plan,
    opening_events,
)
from tests.tui.conftest import make_app, opened, screen_text, settle
from tests.tui.fake_session import FakeSession
from tui.cluster_now import current_cluster
from tui.key_availability import KeyContext, why_disabled
from tui.open_orders import OpenOrders
from tui.screens.confirm import ConfirmScreen
from tui.store import Snapshot

CLUSTER = make_cluster()
PLAN = make_plan(CLUSTER)
READY = KeyContext(Snapshot(CLUSTER), can_deploy=True, plan=PLAN, candidate=PLAN.recommended)


def refused_for(*fixes: Fix) -> Candidate:
    rejection = Rejection(Rule.WEIGHTS_DO_NOT_FIT, "too large", fixes)
    return Candidate(Form.plain(8, 1), Layout(tp=8), feasible=False, rejections=(rejection,))


def status_of(state: DeploymentState, name: str = "llama-1") -> DeploymentStatus:
    status = make_deployment(CLUSTER, serving=True, name=name)
    return status.model_copy(update={"state": state})


EXPERTS = Layout(tp=1, dp=2, ep=2, dp_attention=True)


def with_replicas(count: int, **changes: object) -> DeploymentStatus:
    rows = tuple(ReplicaStatus(replica=number, ready=True) for number in range(count))
    return status_of(DeploymentState.READY).model_copy(update={"replicas": rows, **changes})


@pytest.mark.parametrize(
    ("action", "changes", "words"),
    [
        ("deploy", {}, ""),
        ("deploy", {"snapshot": Snapshot()}, "Still connecting"),
        (
            "deploy",
            {"snapshot": Snapshot(CLUSTER, lost=SessionLost(reason="the head is gone"))},
            "head is gone",
        ),
        ("deploy", {"snapshot": Snapshot(make_cluster(1, 0))}, "no GPU to deploy on"),
        ("deploy", {"can_deploy": False}, "comes from a file or spec"),
        ("deploy", {"not_runnable": "The built-in engine does not run it"}, "does not run it"),
        ("deploy", {"plan": None}, "There is no plan yet"),
        ("deploy", {"ordered": "llama-1"}, "llama-1 is still claiming its GPUs"),
        ("deploy", {"assumed_stopped": "llama-1"}, "llama-1 is using the GPUs of this plan"),
        ("deploy", {"candidate": None}, "no layout to deploy"),
        ("deploy", {"candidate": PLAN.candidates[4]}, "TP=8 is rejected: TP=8 spans node-0 and node-1"),
        ("apply_fix", {}, "TP=4, DP=2 fits: there is nothing to fix"),
        ("apply_fix", {"plan": None}, "no layout to fix"),
        ("apply_fix", {"candidate": PLAN.candidates[4]}, ""),
        ("apply_fix", {"candidate": refused_for(Fix(hardware=MoreGpus(4, "H100")))}, "options: 4 more H100."),
        ("apply_fix", {"candidate": refused_for()}, "No option or degree fixes TP=8"),
        ("stop", {}, "no deployment to stop"),
        ("stop", {"deployment": status_of(DeploymentState.READY)}, ""),
        ("stop", {"deployment": status_of(DeploymentState.STOPPING)}, "already stopping"),
        (
            "stop",
            {"deployment": status_of(DeploymentState.READY), "stopping": frozenset({"llama-1"})},
            "already stopping",
        ),
        ("scale_up", {}, "no deployment to scale"),
        ("scale_up", {"deployment": status_of(DeploymentState.READY)}, ""),
        ("scale_up", {"deployment": status_of(DeploymentState.STARTING)}, "while it serves"),
        (
            "scale_up",
            {"deployment": status_of(DeploymentState.READY), "scaling": frozenset({"llama-1"})},
            "being changed already",
        ),
        (
            "scale_down",
            {"deployment": with_replicas(2, scaling=ScalingStatus(replicas=3))},
            "being changed already",
        ),
        ("scale_down", {"deployment": with_replicas(2)}, ""),
        ("scale_down", {"deployment": with_replicas(2, layout=EXPERTS)}, "are one engine"),
        ("scale_down", {"deployment": with_replicas(1)}, "Press x to stop it"),
        ("prompt", {}, "no deployment to prompt"),
        ("prompt", {"deployment": status_of(DeploymentState.DEGRADED)}, ""),
        ("prompt", {"deployment": status_of(DeploymentState.STARTING)}, "once it is ready"),
        ("prompt", {"deployment": status_of(DeploymentState.FAILED)}, "is failed"),
        ("explain", {"plan": None}, "There is no plan yet"),
        ("replan", {"snapshot": Snapshot()}, "Still connecting"),
        ("toggle_panel", {"num_panels": 2}, "both on screen"),
        ("next_deployment", {}, "no other deployment"),
        ("help", {"snapshot": Snapshot()}, ""),
        ("workload", {"plan": None}, ""),
    ],
)
def test_every_dimmed_key_has_a_reason(action: str, changes: dict[str, object], words: str) -> None:
    told = why_disabled(action, replace(READY, **changes))  # type: ignore[arg-type]
    assert words in told
    assert bool(told) == bool(words)
    assert "\n" not in told and len(told) < 110


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (240, 70)])
async def test_a_dimmed_key_says_why(size: tuple[int, int]) -> None:
    app = make_app()
    async with opened(app, size) as pilot:
        await pilot.press("x")
        await pilot.pause()
        assert "There is no deployment to stop." in screen_text(app)
        await pilot.press(*["down"] * 4, "d")
        await pilot.pause()
        assert "TP=8 is rejected: TP=8 spans node-0 and node-1" in screen_text(app)


async def test_a_dimmed_key_of_the_key_bar_says_why_when_clicked() -> None:
    app = make_app()
    async with opened(app, (120, 40)) as pilot:
        column = screen_text(app).splitlines()[-1].index("p Prompt")
        await pilot.click(offset=(column, 39))
        await pilot.pause()
        assert "There is no deployment to prompt." in screen_text(app)


async def test_the_reason_for_a_dimmed_key_is_shown_over_progress() -> None:
    app = make_app((Progress(message="starting raylet 1 of 2", fraction=0.5),))
    async with opened(app, (80, 24)) as pilot:
        await pilot.press("d")
        await pilot.pause()
        assert "Still connecting to the cluster." in screen_text(app)


class SlowSession(FakeSession):
    """Its orders are answered when the test says so."""

    def __init__(self) -> None:
        super().__init__(opening_events(CLUSTER))
        self.futures: list[Future[None]] = []

    def _ordered(self, verb: str, what: object) -> Future[None]:
        self.orders.append((verb, what))
        self.futures.append(Future())
        return self.futures[-1]


async def test_a_second_deploy_waits_until_the_first_one_shows() -> None:
    session = SlowSession()
    app = make_app(session=session)
    async with opened(app, (80, 24)) as pilot:
        await pilot.press("d")
        await pilot.pause(0.1)
        await pilot.press("y")
        await pilot.pause(0.1)
        text = screen_text(app)
        assert "submitted  llama-3-1-70b-1" in text
        assert "No deployments" not in text
        await pilot.press("d")
        await pilot.pause(0.1)
        assert not isinstance(app.screen, ConfirmScreen)
        assert "is still claiming its GPUs. Try again in a moment." in screen_text(app)
        session.futures[0].set_result(None)
        await pilot.pause(0.1)
        # Accepted, and not shown yet: still not to be ordered again.
        await pilot.press("d")
        await pilot.pause(0.1)
        assert not isinstance(app.screen, ConfirmScreen)
        assert [verb for verb, _ in session.orders] == ["deploy"]
        shown = make_deployment(CLUSTER, serving=False)
        session.say(DeploymentsSeen(deployments=(shown,)))
        await settle(pilot)
        assert app.screen.orders.open.ordered == ""
        assert "placing" in screen_text(app)


async def test_a_rejected_order_keeps_the_deployments_in_front() -> None:
    session = SlowSession()
    app = make_app(session=session)
    async with opened(app, (80, 24)) as pilot:
        session.say(DeploymentsSeen(deployments=(make_deployment(CLUSTER, serving=True, name="first"),)))
        await settle(pilot)
        await pilot.press("tab", "d")
        await pilot.pause(0.1)
        await pilot.press("y")
        await pilot.pause(0.1)
        session.futures[0].set_exception(DeployFailed("node-0 GPU 0 is held by first", "Stop that first"))
        await pilot.pause(0.1)
        assert "node-0 GPU 0 is held by first" in screen_text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert "41.8 tok/s measured" in screen_text(app)
        assert app.screen.check_action("deploy", ()) is True


async def test_a_second_stop_waits_for_the_first() -> None:
    session = SlowSession()
    app = make_app(session=session)
    async with opened(app, (80, 24)) as pilot:
        session.say(DeploymentsSeen(deployments=(make_deployment(CLUSTER, serving=True, name="first"),)))
        await settle(pilot)
        await pilot.press("x")
        await pilot.pause(0.1)
        await pilot.press("y")
        await pilot.pause(0.1)
        await pilot.press("x")
        await pilot.pause(0.1)
        assert "first is already stopping." in screen_text(app)
        assert session.orders == [("stop", "first")]


async def test_our_deployments_are_planned_around_before_the_inventory_shows_them() -> None:
    held: list[int] = []

    def remember(cluster: Cluster, model: str, request: PlanRequest):  # type: ignore[no-untyped-def]
        held.append(sum(gpu.claimed_by is not None for node in cluster.nodes for gpu in node.gpus))
        return make_plan(cluster) if not held[-1] else make_nothing_fits(cluster)

    session = FakeSession(opening_events(CLUSTER))
    app = make_app(session=session, plan=remember)
    async with opened(app, (80, 24)) as pilot:
        session.say(DeploymentsSeen(deployments=(make_deployment(CLUSTER, serving=False, name="first"),)))
        await settle(pilot)
        assert held == [0, 8, 0]
        await pilot.press("d")
        await pilot.pause(0.1)
        assert "first is using the GPUs of this plan. Press x to stop it." in screen_text(app)


def test_a_failed_deployment_holds_nothing() -> None:
    failed = status_of(DeploymentState.FAILED)
    cluster = current_cluster(Snapshot(CLUSTER, deployments=(failed,)))
    assert cluster is not None
    assert all(gpu.claimed_by is None for node in cluster.nodes for gpu in node.gpus)


def test_an_order_is_open_until_its_ranks_show_or_it_fails() -> None:
    orders = OpenOrders()
    orders.deploy("llama-1")
    bare = status_of(DeploymentState.STARTING).model_copy(update={"ranks": ()})
    orders.update(Snapshot(CLUSTER, deployments=(bare,)))
    assert orders.ordered == "llama-1"
    orders.update(Snapshot(CLUSTER, deployments=(bare.model_copy(update={"state": DeploymentState.FAILED}),)))
    assert orders.ordered == ""
    orders.deploy("llama-2")
    orders.close("llama-2")
    assert orders.ordered == ""


@pytest.mark.parametrize("key", ["m", "w"])
async def test_a_new_question_brings_its_plan_to_the_front(key: str) -> None:
    status = make_deployment(CLUSTER, serving=True)
    app = make_app((*opening_events(CLUSTER), DeploymentsSeen(deployments=(status,))))
    async with opened(app, (80, 24)) as pilot:
        await pilot.press("tab")
        await pilot.pause()
        assert "tok/s measured" in screen_text(app)
        await pilot.press(key)
        await pilot.pause(0.1)
        await pilot.press("enter")
        await settle(pilot)
        text = screen_text(app)
        assert "tok/s measured" not in text
        assert MODEL in text and "Does the model fit on 1 GPU?" in text


async def test_a_workload_that_cannot_be_planned_can_be_changed() -> None:
    def refuse(cluster: Cluster, model: str, request: PlanRequest):  # type: ignore[no-untyped-def]
        raise DeployFailed("no such version")

    app = make_app(plan=refuse)
    async with opened(app, (80, 24)) as pilot:
        await pilot.press("w")
        await pilot.pause(0.1)
        assert "concurrency" in screen_text(app)
