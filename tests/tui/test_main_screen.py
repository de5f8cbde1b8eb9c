"""The main screen over recorded sessions: what it shows and what its keys do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.bridge.events import ClusterSeen, DeploymentsSeen, Progress, SessionLost
from cluster.deploy.spec import DeploymentSpec
from cluster.errors import ClusterviewError, DeployFailed
from cluster.inventory import Cluster, GpuProcess, Node
from cluster.planner.fixes.fix import Fix, FreeMemory, GpuToFree
from cluster.planner.request import PlanRequest
from cluster.planner.result import Plan
from cluster.planner.rule import Rule
from tests.tui.builders import (
    MODEL,
    make_cluster,
    make_deployment,
    make_nothing_fits,
    make_plan,
    opening_events,
)
from tests.tui.conftest import make_app, opened, screen_text, settle, until
from tests.tui.fake_session import FakeSession
from tui.screens.confirm import ConfirmScreen
from tui.screens.notice import NoticeScreen
from tui.screens.prompt import PromptScreen

SIZES = [(80, 24), (120, 40), (240, 70)]


@pytest.mark.parametrize("size", SIZES)
async def test_shows_cluster_plan_path_and_placement(size: tuple[int, int]) -> None:
    app = make_app()
    async with opened(app, size):
        text = screen_text(app)
    assert "SIMULATED" in text
    assert "2 nodes · 8 GPUs" in text
    assert MODEL in text
    assert "Does the model fit on 1 GPU?" in text
    assert "1,930 tok/s (1,505–2,393)" in text
    for replica in (0, 1):
        for rank in range(4):
            assert f"R{replica}·T{rank}" in text


@pytest.mark.parametrize("size", SIZES)
async def test_rejected_layouts_show_rule_and_fix(size: tuple[int, int]) -> None:
    app = make_app()
    async with opened(app, size) as pilot:
        await pilot.press(*["down"] * 5)
        await pilot.pause()
        text = " ".join(screen_text(app).split())
    assert "weights do not fit" in text
    assert "FP8 weights" in text


async def test_the_map_follows_the_cursor_at_once() -> None:
    app = make_app()
    async with opened(app, (80, 24)) as pilot:
        assert "R1·T3" in screen_text(app)
        await pilot.press("down", "down")
        await pilot.pause()
        third = screen_text(app)
        assert "R0·T3" in third
        assert "R1" not in third
        await pilot.press("up")
        await pilot.pause()
        assert "R1·S1·T1" in screen_text(app)


async def test_nothing_fits_says_what_would() -> None:
    app = make_app(plan=make_nothing_fits)
    async with opened(app, (80, 24)) as pilot:
        text = " ".join(screen_text(app).split())
        assert "nothing fits" in text
        assert "12.4 GiB are missing: 2 more A100-80GB" in text
        await pilot.press("d")
        await pilot.pause()
        assert not isinstance(app.screen, ConfirmScreen)


async def test_joining_shows_progress_and_keys_work_meanwhile() -> None:
    session = FakeSession((Progress(message="starting raylet 1 of 2", fraction=0.5),))
    app = make_app(session=session)
    async with opened(app, (80, 24)) as pilot:
        text = screen_text(app)
        assert "starting raylet 1 of 2" in text
        assert "50%" in text
        await pilot.press("question_mark")
        await pilot.pause()
        assert "Keys and symbols" in screen_text(app)
        await pilot.press("escape")
        session.say(*opening_events(make_cluster()))
        await settle(pilot)
        text = screen_text(app)
        assert "starting raylet" not in text
        assert "TP=4, DP=2" in text


async def test_deploy_asks_once_and_cancel_is_the_default() -> None:
    session = FakeSession(opening_events(make_cluster()))
    app = make_app(session=session)
    async with opened(app, (80, 24)) as pilot:
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        text = screen_text(app)
        assert app.focused is not None and app.focused.id == "no"
        for fact in (MODEL, "TP=4, DP=2", "node-0: 0 1 2 3", "71.3 of 71.3 GiB", "1/64 width"):
            assert fact in text
        await pilot.press("enter")
        await pilot.pause()
        assert session.orders == []
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: bool(session.orders))
    assert [verb for verb, _ in session.orders] == ["deploy"]
    spec = session.orders[0][1]
    assert isinstance(spec, DeploymentSpec)
    assert len(spec.ranks) == 8


async def test_deploy_replans_first_and_says_why_it_no_longer_fits() -> None:
    calls = []

    def plan_once(cluster: Cluster, model: str, request: PlanRequest):  # type: ignore[no-untyped-def]
        calls.append(cluster)
        plan = make_plan(cluster, model, request)
        return plan if len(calls) == 1 else _all_refused(plan)  # the second look is the key press

    session = FakeSession(opening_events(make_cluster()))
    app = make_app(session=session, plan=plan_once)
    async with opened(app) as pilot:
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, NoticeScreen))
        text = screen_text(app)
    assert "TP=4, DP=2 no longer fits" in text
    assert "pid 4711" in text
    assert session.orders == []


def _all_refused(plan):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    from cluster.planner.result import Rejection

    held = GpuToFree("node-1", "node-1", 3, 0, (GpuProcess(pid=4711),))
    fix = Fix(hardware=FreeMemory((held,)))
    busy = Rejection(Rule.GPU_BUSY, "node-1 GPU 3 is used by pid 4711", (fix,))
    refused = tuple(replace(item, feasible=False, rejections=(busy,)) for item in plan.candidates)
    return replace(plan, recommended=None, candidates=refused)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (DeployFailed("no Ray answers", "start it with ray start"), ("no Ray answers", "ray start")),
        (RuntimeError("[red]broken"), ("RuntimeError: [red]broken", "not affected")),
    ],
)
async def test_a_failed_order_is_reported_and_the_screen_survives(
    error: Exception, words: tuple[str, ...]
) -> None:
    session = FakeSession(opening_events(make_cluster()), fail_with=error)
    app = make_app(session=session)
    async with opened(app) as pilot:
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: isinstance(app.screen, NoticeScreen))
        text = screen_text(app)
        for word in words:
            assert word in text
        await pilot.press("escape", "down")
        await pilot.pause()
        assert "TP=4, DP=2" in screen_text(app)


async def test_stop_names_what_it_stops() -> None:
    cluster = make_cluster()
    status = make_deployment(cluster, serving=True)
    session = FakeSession((*opening_events(cluster), DeploymentsSeen(deployments=(status,))))
    app = make_app(session=session)
    async with opened(app, (80, 24)) as pilot:
        await pilot.press("x")
        await pilot.pause()
        text = screen_text(app)
        assert f"Stop {status.name}?" in text
        assert "3 in flight, with 30 s to finish" in text
        await pilot.press("y")
        await pilot.pause()
    assert session.orders == [("stop", status.name)]


async def test_starting_ranks_show_state_percent_and_age() -> None:
    cluster = make_cluster()
    status = make_deployment(cluster, serving=False)
    app = make_app((*opening_events(cluster), DeploymentsSeen(deployments=(status,))))
    async with opened(app, (80, 24)) as pilot:
        await pilot.press("tab")
        await pilot.pause()
        text = screen_text(app)
    for word in ("placing", "starting", "joining", "loading", "62%", "warming up", "ready", "3 s"):
        assert word in text


@pytest.mark.parametrize("size", SIZES)
async def test_serving_shows_measured_and_predicted_figures(size: tuple[int, int]) -> None:
    cluster = make_cluster()
    status = make_deployment(cluster, serving=True)
    app = make_app((*opening_events(cluster), DeploymentsSeen(deployments=(status,))))
    async with opened(app, size) as pilot:
        await pilot.press("tab")
        await pilot.pause()
        text = screen_text(app)
    assert "41.8 tok/s measured, scaled model" in text
    assert "1,930 (1,505–2,393) predicted" in text
    assert "1/64 width, 4 of 80 layers" in text
    assert "all-reduces/token" in text
    assert "34%" in text


async def test_prompt_streams_tokens() -> None:
    from cluster.bridge.events import TokenSeen

    cluster = make_cluster()
    status = make_deployment(cluster, serving=True)
    session = FakeSession((*opening_events(cluster), DeploymentsSeen(deployments=(status,))))
    app = make_app(session=session)
    async with opened(app, (80, 24)) as pilot:
        await pilot.press("p")
        await pilot.pause()
        assert isinstance(app.screen, PromptScreen)
        await pilot.press(*"hello", "enter")
        await pilot.pause()
        verb, (name, prompt_id, text) = session.orders[0]  # type: ignore[misc]
        assert (verb, name, text) == ("prompt", status.name, "hello")
        session.say(
            TokenSeen(prompt_id=prompt_id, text="The sky"),
            TokenSeen(prompt_id="another", text="NOT MINE"),
            TokenSeen(prompt_id=prompt_id, text=" is blue.", replica=1),
            TokenSeen(prompt_id=prompt_id, done=True, replica=1),
        )
        await until(pilot, lambda: "from R1" in screen_text(app))
        shown = screen_text(app)
    assert "The sky is blue." in shown
    assert "NOT MINE" not in shown
    assert "from R1" in shown


async def test_a_lost_session_is_reported_and_keys_are_dimmed() -> None:
    session = FakeSession(opening_events(make_cluster()))
    app = make_app(session=session)
    async with opened(app) as pilot:
        session.say(SessionLost(reason="the head node is gone", hint="open clusterview again"))
        await pilot.pause()
        text = screen_text(app)
        assert "the head node is gone" in text
        assert "open clusterview again" in text
        assert app.screen.check_action("deploy", ()) is None


async def test_planning_only_cluster_cannot_deploy() -> None:
    session = FakeSession(opening_events(make_cluster()), title="2x4xA100-80GB", can_deploy=False)
    app = make_app(session=session)
    async with opened(app) as pilot:
        assert app.screen.check_action("deploy", ()) is None
        await pilot.press("d")
        await pilot.pause()
    assert session.orders == []


async def test_an_unknown_model_is_reported_with_its_hint() -> None:
    def refuse(cluster: Cluster, model: str, request: PlanRequest):  # type: ignore[no-untyped-def]
        raise ClusterviewError(f"unknown model '{model}'", "Nearest: llama-3.1-70b")

    app = make_app(plan=refuse)
    async with opened(app):
        assert "Nearest: llama-3.1-70b" in screen_text(app)


async def test_no_gpu_says_what_to_type_and_opens_a_simulation() -> None:
    bare = Cluster(source="none", nodes=(Node(node_id="local", name="laptop", error="no NVIDIA driver"),))
    opened_sessions = []

    def simulated() -> FakeSession:
        opened_sessions.append(FakeSession(opening_events(make_cluster())))
        return opened_sessions[-1]

    first = FakeSession((ClusterSeen(cluster=bare),), title="this machine")
    app = make_app(session=first, open_simulated=simulated, simulated_name="2x4xA100-80GB")
    async with opened(app, (80, 24)) as pilot:
        text = screen_text(app)
        assert "No GPUs found." in text
        assert "no NVIDIA driver" in text
        assert "--simulate 2x4xA100-80GB" in text
        await pilot.press("s")
        await settle(pilot)
        assert "TP=4, DP=2" in screen_text(app)
    assert first.closed
    assert len(opened_sessions) == 1


async def test_a_demo_without_gpus_simulates_without_asking() -> None:
    bare = Cluster(source="none", nodes=(Node(node_id="local", name="laptop"),))
    app = make_app(
        (ClusterSeen(cluster=bare),),
        open_simulated=lambda: FakeSession(opening_events(make_cluster())),
        simulate_without_gpus=True,
    )
    async with opened(app) as pilot:
        await settle(pilot)
        assert "SIMULATED" in screen_text(app)


@pytest.mark.parametrize("keys", [("down", "down"), ()])
async def test_the_cursor_keeps_its_layout_when_the_plan_changes(keys: tuple[str, ...]) -> None:
    """One that nobody has moved follows the best layout."""
    cluster, is_turned = make_cluster(), False

    def planned(cluster: Cluster, model: str, request: PlanRequest) -> Plan:
        plan = make_plan(cluster, model, request)
        return replace(plan, candidates=plan.candidates[::-1]) if is_turned else plan

    session = FakeSession(opening_events(cluster))
    app = make_app(session=session, plan=planned)
    async with opened(app) as pilot:
        await pilot.press(*keys)
        await pilot.pause()
        alternatives = app.screen.panels.plan.alternatives
        before, last = alternatives.key, alternatives._keys()[-1]
        is_turned = True
        session.say(ClusterSeen(cluster=cluster.model_copy(update={"taken_at_s": 1.0})))
        await until(pilot, lambda: alternatives._keys()[0] == last)
        assert alternatives.key == (before if keys else last)
        assert before != last


async def test_every_theme_draws() -> None:
    app = make_app()
    async with opened(app) as pilot:
        seen = {app.theme}
        for _ in range(3):
            await pilot.press("t")
            await pilot.pause()
            seen.add(app.theme)
            assert "TP=4, DP=2" in screen_text(app)
    assert len(seen) == 4


async def test_the_plan_stays_on_screen_while_it_runs_and_cannot_be_ordered_twice() -> None:
    cluster = make_cluster()
    status = make_deployment(cluster, serving=True)
    claimed = cluster.model_copy(
        update={
            "nodes": tuple(
                node.model_copy(
                    update={
                        "gpus": tuple(gpu.model_copy(update={"claimed_by": status.name}) for gpu in node.gpus)
                    }
                )
                for node in cluster.nodes
            )
        }
    )

    def plan_free(cluster: Cluster, model: str, request: PlanRequest):  # type: ignore[no-untyped-def]
        taken = any(gpu.claimed_by for node in cluster.nodes for gpu in node.gpus)
        return make_nothing_fits(cluster) if taken else make_plan(cluster)

    session = FakeSession((ClusterSeen(cluster=claimed), DeploymentsSeen(deployments=(status,))))
    app = make_app(session=session, plan=plan_free)
    async with opened(app, (120, 40)) as pilot:
        text = screen_text(app)
        assert "TP=4, DP=2" in text
        assert f"assuming {status.name} is stopped" in text
        await pilot.press("d")
        await pilot.pause(0.1)
        assert session.orders == []
        assert not isinstance(app.screen, ConfirmScreen)


async def test_a_layout_that_vanished_from_the_plan_is_not_ordered() -> None:
    calls = []

    def plan_once(cluster: Cluster, model: str, request: PlanRequest):  # type: ignore[no-untyped-def]
        calls.append(cluster)
        return make_plan(cluster) if len(calls) == 1 else make_nothing_fits(cluster)

    session = FakeSession(opening_events(make_cluster()))
    app = make_app(session=session, plan=plan_once)
    async with opened(app) as pilot:
        await pilot.press("d")
        await until(pilot, lambda: "TP=4, DP=2 no longer fits" in screen_text(app))
        assert "12.4 GiB are missing" in screen_text(app)
    assert session.orders == []


async def test_a_node_that_falls_silent_is_planned_around_at_once() -> None:
    from cluster.bridge.events import ReadingsSeen
    from cluster.telemetry import NodeReading
    from tests.tui.builders import NOW_S

    healthy = []

    def remember(cluster: Cluster, model: str, request: PlanRequest):  # type: ignore[no-untyped-def]
        healthy.append(sum(gpu.healthy for node in cluster.nodes for gpu in node.gpus))
        return make_plan(cluster)

    session = FakeSession(opening_events(make_cluster()))
    app = make_app(session=session, plan=remember)
    async with opened(app) as pilot:
        assert healthy[-1] == 8
        session.say(ReadingsSeen(nodes=(NodeReading(node_id="id-1", taken_at_s=NOW_S, state="lost"),)))
        await settle(pilot)
        assert healthy[-1] == 4
        assert "! lost" in screen_text(app)


async def test_the_layouts_next_to_the_cursor_are_placed_ahead() -> None:
    app = make_app()
    async with opened(app) as pilot:
        panels = app.main_screen.panels
        await until(pilot, lambda: not panels.unprepared_neighbors())
        await pilot.press("down")
        neighbors = [item.label for item in panels.plan.alternatives.neighbors]
        assert neighbors == ["TP=4, DP=2", "TP=2, PP=2, DP=2", "TP=4"]
        await until(pilot, lambda: not panels.unprepared_neighbors())
