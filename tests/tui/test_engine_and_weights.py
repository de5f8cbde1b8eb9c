"""Engine and weights of a deployment wherever it is shown: dialog, panel, header, `clusterview status`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cluster.bridge.events import ClusterSeen, DeploymentsSeen
from cluster.cli.status import _lines
from cluster.deploy.spec import DeploymentSpec, ModelSource
from cluster.deploy.status import DeploymentStatus, EngineInUse
from cluster.errors import BadInput
from tests.tui.builders import make_cluster, make_deployment, make_plan, make_readings, make_spec
from tests.tui.conftest import make_app, opened, screen_text
from tui.confirmations import confirm_deploy
from tui.deploy_spec import OrderContext, spec_with_scale
from tui.styles import Styles
from tui.themes import DARK
from tui.widgets.deployment_text import deployment_lines

REMARK = "sequences of at most 4,096 tokens run (the model takes 131,072)"
PLANNED = EngineInUse(name="builtin", version="0.1.0", planned_for="vllm 0.33.0")


def running(weights: str, simulated: bool = False, engine: EngineInUse = PLANNED) -> DeploymentStatus:
    status = make_deployment(make_cluster(simulated=simulated), serving=True)
    changes = {"weights": weights, "engine": engine, "remarks": (REMARK,), "simulated": simulated}
    return status.model_copy(update={**changes, "scale": status.scale if simulated else None})


def rows_of(source: ModelSource, **changes: Any) -> dict[str, str]:
    plan = make_plan(make_cluster(simulated=False))
    candidate = plan.candidates[0]
    spec: DeploymentSpec = make_spec(plan, candidate, OrderContext(None, False, ()))
    spec = spec.model_copy(update={"model": source, **changes})
    return dict(confirm_deploy(spec, candidate).rows)


def test_the_dialog_says_which_weights_and_which_engine() -> None:
    made_up = rows_of(ModelSource(name="m", config={}), planned_for="vllm 0.33.0", remarks=(REMARK,))
    assert made_up["weights"].startswith("DUMMY WEIGHTS")
    assert made_up["engine"] == "builtin 0.1.0; planned for vllm 0.33.0" and made_up["note"] == REMARK
    same = rows_of(ModelSource(name="m", config={}, path="/models/m"), planned_for="builtin 0.1.0")
    assert (same["weights"], same["engine"]) == ("/models/m", "builtin 0.1.0")
    assert "Hugging Face cache" in rows_of(ModelSource(name="m", config={}, hub_id="org/m"))["weights"]


@pytest.mark.parametrize("simulated", [True, False])
def test_panel_and_status_show_dummy_weights(simulated: bool) -> None:
    made_up, read = running("dummy", simulated), running("checkpoint", simulated)
    for text in (panel(made_up), "\n".join(_lines("here", made_up))):
        assert "DUMMY WEIGHTS" in text and REMARK in text
        assert "engine builtin 0.1.0, planned for vllm 0.33.0" in text
        assert ("SIMULATED" in text) is simulated
    for text in (panel(read), "\n".join(_lines("here", read))):
        assert "DUMMY" not in text


def test_an_engine_that_was_planned_for_is_not_named_twice() -> None:
    own = EngineInUse(name="builtin", version="0.1.0", planned_for="builtin 0.1.0")
    assert "planned for" not in panel(running("checkpoint", engine=own))


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
    asked = replace(plan.request, engine="sglang", engine_asked=True)
    with pytest.raises(BadInput, match="only the built-in engine can be started, not sglang"):
        spec_with_scale(replace(plan, request=asked), plan.candidates[0], OrderContext(None, True, ()))
