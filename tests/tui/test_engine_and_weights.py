"""Engine and weights of a deployment wherever it is shown: dialog, panel, header, `clusterview status`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cluster.bridge.events import ClusterSeen, DeploymentsSeen
from cluster.catalog.engine_catalog import load_engine
from cluster.cli.status_lines import status_lines
from cluster.cluster_spec import parse_cluster_spec
from cluster.deploy.engine_in_use import EngineInUse
from cluster.deploy.spec import DeploymentSpec, ModelSource
from cluster.deploy.status import DeploymentStatus
from cluster.errors import BadInput
from cluster.inventory import Cluster
from cluster.planner.request import PlanRequest
from tests.cluster.deploy.order.engines_on import with_engines
from tests.tui.builders import (
    make_cluster,
    make_deployment,
    make_plan,
    make_readings,
    make_spec,
    opening_events,
)
from tests.tui.conftest import make_app, opened, screen_text, settle
from tests.tui.fake_session import FakeSession
from tui.confirmations import confirm_deploy
from tui.deploy_spec import engine_of, not_runnable, order_now
from tui.planner.by_name import plan_with_catalog
from tui.roles import live_roles
from tui.styles import Styles
from tui.themes import DARK
from tui.widgets.deployment_text import deployment_lines

REMARK = "the maximum sequence length is 4,096 tokens (requested: 8,192)"
PLANNED = EngineInUse(name="builtin", version="0.1.0", planned_for="vllm 0.33.0")
OWN = EngineInUse(name="builtin", version="0.1.0", planned_for="builtin 0.1.0")


def running(weights: str, simulated: bool = False, engine: EngineInUse = PLANNED) -> DeploymentStatus:
    status = make_deployment(make_cluster(simulated=simulated), serving=True)
    changes = {"weights": weights, "engine": engine, "remarks": (REMARK,), "simulated": simulated}
    return status.model_copy(update={**changes, "scale": status.scale if simulated else None})


def rows_of(source: ModelSource, **changes: Any) -> dict[str, str]:
    plan = make_plan(make_cluster(simulated=False))
    candidate = plan.candidates[0]
    spec: DeploymentSpec = make_spec(plan, candidate, ())
    spec = spec.model_copy(update={"model": source, **changes})
    return dict(confirm_deploy(spec, candidate).rows)


def test_the_dialog_says_which_weights_and_which_engine() -> None:
    made_up = rows_of(ModelSource(name="m", config={}), engine=PLANNED, remarks=(REMARK,))
    assert made_up["weights"].startswith("DUMMY WEIGHTS")
    assert made_up["engine"] == "builtin 0.1.0, planned for vllm 0.33.0" and made_up["note"] == REMARK
    same = rows_of(ModelSource(name="m", config={}, path="/models/m"), engine=OWN)
    assert (same["weights"], same["engine"]) == ("/models/m", "builtin 0.1.0")
    assert "Hugging Face cache" in rows_of(ModelSource(name="m", config={}, hub_id="org/m"))["weights"]


@pytest.mark.parametrize("simulated", [True, False])
def test_panel_and_status_show_dummy_weights(simulated: bool) -> None:
    made_up, read = running("dummy", simulated), running("checkpoint", simulated)
    for text in (panel(made_up), "\n".join(status_lines("here", made_up))):
        assert "DUMMY WEIGHTS" in text and REMARK in text
        assert "engine builtin 0.1.0, planned for vllm 0.33.0" in text
        assert ("SIMULATED" in text) is simulated
    for text in (panel(read), "\n".join(status_lines("here", read))):
        assert "DUMMY" not in text


def test_an_engine_that_was_planned_for_is_not_named_twice() -> None:
    assert "planned for" not in panel(running("checkpoint", engine=OWN))


def panel(status: DeploymentStatus) -> str:
    return "\n".join(line.plain for line in deployment_lines(status, {}, 150, Styles(DARK)))


@pytest.mark.parametrize(("weights", "shown"), [("dummy", True), ("checkpoint", False)])
async def test_the_header_shows_dummy_weights_on_real_gpus(weights: str, shown: bool) -> None:
    cluster = make_cluster(simulated=False)
    events = (
        ClusterSeen(cluster=cluster),
        make_readings(cluster),
        DeploymentsSeen(deployments=(running(weights),)),
    )
    async with opened(make_app(events), (120, 40)) as pilot:
        assert ("DUMMY WEIGHTS" in screen_text(pilot.app).splitlines()[0]) is shown


def test_the_key_rejects_what_the_command_rejects() -> None:
    plan = make_plan(make_cluster())
    asked = replace(plan.request, engine="tensorrt-llm", engine_asked=True)
    with pytest.raises(BadInput, match="tensorrt-llm can be planned for but not deployed"):
        order_now(replace(plan, request=asked), plan.candidates[0], ())


async def test_the_plan_says_which_engine_it_is_for_and_which_one_runs_it() -> None:
    for size in ((80, 24), (120, 40)):
        async with opened(make_app(), size) as pilot:
            assert f"for vllm 0.11.0, runs on builtin {load_engine('builtin').version}" in screen_text(
                pilot.app
            )
    described = FakeSession(opening_events(make_cluster()), can_deploy=False)
    async with opened(make_app(session=described)) as pilot:
        assert "for vllm 0.11.0" in screen_text(pilot.app) and "runs on" not in screen_text(pilot.app)


def without_engines(cluster: Cluster) -> Cluster:
    return with_engines(cluster, {}, error="/opt/vllm/bin/python does not exist")


async def test_an_engine_that_the_nodes_lack_is_said_before_the_dialog() -> None:
    session = FakeSession(opening_events(without_engines(make_cluster(simulated=False))))
    app = make_app(session=session)
    async with opened(app, (120, 40)) as pilot:
        assert "d cannot deploy this: vllm is not installed on node-0, node-1" in screen_text(app)
        await pilot.press("d")
        await settle(pilot)
        assert app.screen is app.main_screen
        assert "vllm is not installed on node-0" in screen_text(app).splitlines()[-2]
        assert session.orders == []


def test_a_layout_that_was_refused_says_no_more_than_its_refusal() -> None:
    plan = make_plan(without_engines(make_cluster(simulated=False)))
    assert "(/opt/vllm/bin/python does not exist)" in not_runnable(plan, plan.candidates[0])
    refused = next(candidate for candidate in plan.candidates if not candidate.feasible)
    assert not_runnable(plan, refused) == not_runnable(plan, None) == ""


def test_the_screen_plans_for_the_engine_that_runs() -> None:
    """The same choice as for `clusterview deploy`: what is installed on the nodes, in that version."""
    cluster = parse_cluster_spec("1x2xA100-80GB", "spec")
    for engines, expected in (({"vllm": "0.30.0"}, "vllm 0.30.0"), ({}, "builtin 0.1.0")):
        plan = plan_with_catalog(with_engines(cluster, engines), "llama-3.1-8b", PlanRequest())
        assert f"{plan.engine_name} {plan.engine_version}" == expected
        assert engine_of(plan).is_as_planned and not not_runnable(plan, plan.recommended)


def test_the_dialog_shows_interpreter_and_command_of_the_servers() -> None:
    cluster = with_engines(parse_cluster_spec("2x4xA100-80GB", "spec"), {"vllm": "0.32.0"})
    plan = plan_with_catalog(cluster, "llama-3.1-70b", PlanRequest(tp=4, pp=1))
    assert plan.recommended is not None
    spec = order_now(plan, plan.recommended, (), {"vllm": "/opt/vllm/bin/python"})
    rows = dict(confirm_deploy(spec, plan.recommended).rows)
    assert rows["engine"] == "vllm 0.32.0" and rows["python"] == "/opt/vllm/bin/python"
    assert "vllm serve meta-llama/Llama-3.1-70B" in rows["command"]
    assert rows["command"].endswith("\nand 1 more server like it")
    assert rows["memory"].startswith("73.2 GiB")
    own = dict(confirm_deploy(order_now(plan, plan.recommended, ()), plan.recommended).rows)
    assert own["python"] == "the one that runs Ray on each node"


def test_the_deployment_of_an_older_version_shows_all_numbers_of_its_ranks() -> None:
    """It does not say into what its layout divides the model, and nothing guesses it from the ranks."""
    status = make_deployment(make_cluster(), serving=True)
    names = {role.name for role in live_roles((status,)).values()}
    assert names == {f"R{replica}·T{rank}" for replica in range(2) for rank in range(4)}
    old = status.model_copy(update={"layout": None})
    names = {role.name for role in live_roles((old,)).values()}
    assert names == {f"R{replica}·S0·T{rank}" for replica in range(2) for rank in range(4)}
    assert "R1·S0·T3" in panel(old) and "TP=4, DP=2" in panel(old)
