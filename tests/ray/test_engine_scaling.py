"""Engines as processes on real Ray nodes grow and shrink while they serve."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.bridge.open_session import open_session
from cluster.cli.session_view import SessionView
from cluster.deploy.order.scale import grown
from cluster.deploy.resized import without_replicas
from cluster.errors import DeployFailed
from tests.fake_engine.python import control, end_engine_processes, engine_processes, fake_python
from tests.ray.engine_servers import argument, server_order, started, stopped
from tests.ray.real_ray import RealNode, RealRay
from tests.ray.steady_load import InFlight, SteadyLoad
from tests.ray.support import START_S

pytestmark = [pytest.mark.ray, pytest.mark.long]


@pytest.fixture(scope="module")
def view(state_dir: Path, fake_nvml_library: Path) -> Iterator[SessionView]:
    with RealRay(fake_nvml_library) as ray, pytest.MonkeyPatch.context() as patch:
        ray.start_head()
        ray.start_nodes(RealNode("gpu-a", nvml_gpus=3))
        for name, value in ray.ray_environment().items():
            patch.setenv(name, value)
        with SessionView(open_session(address=ray.address, simulate=None), shows_progress=False) as opened:
            opened.wait(lambda: opened.cluster is not None and opened.cluster.num_gpus == 3, START_S)
            yield opened


@pytest.fixture
def python(tmp_path: Path) -> Iterator[Path]:
    made = fake_python(tmp_path / "engine")
    yield made
    end_engine_processes(made)


def test_servers_come_and_go_while_others_serve(view: SessionView, python: Path) -> None:
    assert view.cluster is not None
    status = started(view, server_order(view.cluster, "team", python, [[("gpu-a", 1)]], max_num_seqs=64))
    session, endpoint = view.session, status.endpoint or ""
    with SteadyLoad(endpoint) as load:
        spec = session.describe("team").result(START_S)
        control(python, die="import")
        with pytest.raises(DeployFailed, match=r"replica 1: .*ImportError") as failed:
            session.scale(grown(spec, 2, view.settled_cluster())).result(START_S)
        assert "other replica serves" in failed.value.hint
        assert session.describe("team").result(START_S) == spec
        control(python, die="")

        wanted = grown(spec, 2, view.settled_cluster())
        session.scale(wanted).result(START_S)
        gpus = sorted(argument(one, "--device-ids") for one in engine_processes(python, "server"))
        assert gpus == sorted(str(place.gpu_index) for place in wanted.ranks)

        # 60 tokens of 50 ms each, on both servers, when the second one is to end.
        control(python, tpot_s=0.05)
        long = InFlight(endpoint, 6, 60)
        session.scale(without_replicas(wanted, {1})).result(START_S)
        answers = long.answers()
        assert [(answer.is_good, answer.pieces >= 60) for answer in answers] == [(True, True)] * 6, answers
        (left,) = engine_processes(python, "server")
        assert argument(left, "--device-ids") == "1"
        control(python, tpot_s=0.0)
    assert load.answers and load.failures == []

    # A stop waits for what is in flight.
    control(python, tpot_s=0.05)
    long = InFlight(endpoint, 2, 60)
    stopped(view, "team", python)
    assert [answer.is_good for answer in long.answers()] == [True, True]
