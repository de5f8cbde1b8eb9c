"""A controller may be of another version than the session that asks it."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from pydantic import ValidationError

from cluster.cluster_spec import parse_cluster_spec
from cluster.deploy.any_version import status_from_answer
from cluster.deploy.engine_in_use import EngineInUse
from cluster.deploy.plan_fields import BandField, LayoutField
from cluster.deploy.spec import DeploymentSpec
from cluster.deploy.status import DeploymentState, DeploymentStatus
from cluster.frozen import FrozenModel
from cluster.planner.layout import Layout
from cluster.planner.result import Band
from tests.ray.support import ENGINE, order

OLD = Path(__file__).parent / "data" / "status_2026_11.json"
"""A status as the version of November 2026 wrote it: degrees only in the label, the band a bare triple."""
NOW = DeploymentStatus(
    name="d",
    model="m",
    label="TP=2",
    layout=Layout(tp=2),
    state=DeploymentState.READY,
    engine=EngineInUse(name="builtin", version="0.1.0", planned_for="vllm 0.14.0"),
    predicted_tokens_per_s=Band(3.0, 2.0, 4.0),
)


class _Fields(FrozenModel):
    layout: LayoutField
    band: BandField


def without_check(fields: dict[str, object]) -> DeploymentStatus:
    """Return what unpickling makes of the fields of another version: nothing is checked or filled in."""
    status = DeploymentStatus.model_construct(**NOW.__dict__)
    status.__dict__.clear()
    status.__dict__.update(fields)
    answer: DeploymentStatus = pickle.loads(pickle.dumps(status))
    return answer


def test_the_answer_of_an_older_controller_says_what_it_lacks_as_unknown() -> None:
    old = json.loads(OLD.read_text())
    answer = without_check({**old, "state": DeploymentState.READY, "predicted_tokens_per_s": (3.0, 2.0, 4.0)})
    assert not hasattr(answer, "layout")
    status = status_from_answer(answer)
    assert status.layout is None and status.label == "TP=4, DP=2"
    assert status.predicted_tokens_per_s == Band(3.0, 2.0, 4.0)
    assert status.ranks and status.model_dump_json()


def test_what_an_older_controller_posted_can_be_read() -> None:
    status = DeploymentStatus.model_validate_json(OLD.read_bytes())
    assert status.layout is None and status.engine is not None
    assert status.engine.text == "builtin 0.1.0, planned for vllm 0.33.0"


def test_what_a_newer_controller_adds_is_left_out() -> None:
    status = status_from_answer(without_check({**NOW.__dict__, "invented_later": 1}))
    assert status == NOW
    newer = {**json.loads(NOW.model_dump_json()), "invented_later": {"a": 1}}
    assert DeploymentStatus.model_validate(newer) == NOW


@pytest.mark.parametrize("answer", [None, "ready", 3, {"name": "d"}])
def test_what_is_no_status_is_refused(answer: object) -> None:
    with pytest.raises(ValueError):
        status_from_answer(answer)


def test_layout_and_band_travel_as_json_and_keep_the_contract() -> None:
    dumped = json.loads(NOW.model_dump_json())
    assert dumped["predicted_tokens_per_s"] == [3.0, 2.0, 4.0]
    assert dumped["engine"] == {"name": "builtin", "version": "0.1.0", "planned_for": "vllm 0.14.0"}
    assert dumped["layout"] == {"tp": 2, "pp": 1, "dp": 1, "ep": 1, "gpus": 2, "dp_attention": False}
    assert DeploymentStatus.model_validate(dumped) == NOW


@pytest.mark.parametrize(
    "fields",
    [
        {"layout": {"tp": 0}, "band": [1, 0, 2]},
        {"layout": {"tp": "many"}, "band": [1, 0, 2]},
        {"layout": 4, "band": [1, 0, 2]},
        {"layout": {"tp": 2}, "band": [1, 2]},
        {"layout": {"tp": 2}, "band": "fast"},
    ],
)
def test_json_that_is_no_layout_or_band_is_refused_as_any_other(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        _Fields.model_validate(fields)


def test_an_order_of_an_older_version_starts_again_as_it_was() -> None:
    """Ray keeps an order pickled, and starts its controller with it whatever version is installed by then."""
    spec = order(parse_cluster_spec("1x4xL4", "simulated"), "d", [[(0, 0), (0, 1)], [(0, 2), (0, 3)]])
    older = {name: value for name, value in spec.__dict__.items() if name != "layout"}
    older |= {"label": "TP=2, DP=2", "tp": 2, "pp": 1, "dp": 2, "engine": "builtin"}
    older |= {"engine_version": ENGINE.version, "planned_for": ENGINE.planned_for}
    older["predicted_tokens_per_s"] = (3.0, 2.0, 4.0)
    pickled = DeploymentSpec.model_construct(**spec.__dict__)
    pickled.__dict__.clear()
    pickled.__dict__.update(older)
    unpickled = pickle.loads(pickle.dumps(pickled))
    assert unpickled == spec.model_copy(update={"predicted_tokens_per_s": Band(3.0, 2.0, 4.0)})
    assert pickle.loads(pickle.dumps(spec)) == spec
