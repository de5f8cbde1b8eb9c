"""`clusterview scale` says what starts or ends, asks before replicas end, and reports what came of it."""

from __future__ import annotations

import json
from concurrent.futures import Future

import pytest

from cluster.bridge.events import ClusterSeen, DeploymentsSeen, ReadingsSeen
from cluster.bridge.session import Listener
from cluster.cluster_spec import parse_cluster_spec
from cluster.deploy.drain import SCALE_DRAIN_S
from cluster.deploy.scaling_status import ScalingStatus
from cluster.deploy.spec import DeploymentSpec
from cluster.deploy.status import DeploymentState, DeploymentStatus, RankState, RankStatus, ReplicaStatus
from cluster.errors import ClusterviewError, DeployFailed
from cluster.planner.layout import Layout
from cluster.telemetry import NodeReading
from tests.cluster.cli import test_stop
from tests.ray.support import order

CLUSTER = parse_cluster_spec("1x4xL4", "simulated")
PAIR = order(CLUSTER, "pair", [[(0, 0)], [(0, 1)]], planned_bytes=2**30)


def status_of(spec: DeploymentSpec, scaling: ScalingStatus | None = None) -> DeploymentStatus:
    numbers = sorted({place.replica for place in spec.ranks})
    ranks = (
        RankStatus(**place.model_dump(exclude={"planned_bytes", "layers"}), state=RankState.READY)
        for place in spec.ranks
    )
    return DeploymentStatus(
        name=spec.name,
        state=DeploymentState.READY,
        model="m",
        label=spec.label,
        endpoint="http://h:1",
        ranks=tuple(ranks),
        replicas=tuple(ReplicaStatus(replica=number, ready=True) for number in numbers),
        scaling=scaling,
    )


class FakeSession:
    """A cluster on which `spec` runs; a change happens at once, or fails with `failure`."""

    title = "simulated 1x4xL4"
    can_deploy = True

    def __init__(self, spec: DeploymentSpec = PAIR, failure: ClusterviewError | None = None) -> None:
        self.spec, self.failure = spec, failure
        self.scaled: list[tuple[DeploymentSpec, float]] = []

    def start(self, listener: Listener) -> None:
        self._listener = listener
        listener(DeploymentsSeen(deployments=(status_of(self.spec),)))
        claims = {place.gpu_uuid for place in self.spec.ranks}
        (node,) = CLUSTER.nodes
        gpus = (
            gpu.model_copy(update={"claimed_by": "pair" if gpu.uuid in claims else None}) for gpu in node.gpus
        )
        node = node.model_copy(update={"gpus": tuple(gpus)})
        listener(ClusterSeen(cluster=CLUSTER.model_copy(update={"nodes": (node,)})))
        listener(ReadingsSeen(nodes=(NodeReading(node_id=node.node_id, taken_at_s=1.0),)))

    def describe(self, name: str) -> Future[DeploymentSpec]:
        done: Future[DeploymentSpec] = Future()
        done.set_result(self.spec)
        return done

    def scale(self, spec: DeploymentSpec, drain_s: float = SCALE_DRAIN_S) -> Future[None]:
        self.scaled.append((spec, drain_s))
        done: Future[None] = Future()
        if self.failure is not None:
            log = ("Traceback", "ImportError: no module")
            over = ScalingStatus(number=1, is_over=True, failure="x", last_log=log)
            self._listener(DeploymentsSeen(deployments=(status_of(self.spec, over),)))
            done.set_exception(self.failure)
        else:
            over = ScalingStatus(number=1, is_over=True)
            self._listener(DeploymentsSeen(deployments=(status_of(spec, over),)))
            done.set_result(None)
        return done

    def close(self) -> None:
        pass


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    from cluster.cli import find_deployment, scale
    from cluster.cli.arguments import parse_arguments
    from cluster.cli.faults import guarded

    def run(session: FakeSession, command: str, typed: str | None = None) -> int:
        monkeypatch.setattr(find_deployment, "running_sessions", lambda arguments: [(None, session)])
        monkeypatch.setattr(find_deployment, "name_foreign_files", lambda: None)
        if typed is not None:
            monkeypatch.setattr("sys.stdin", test_stop.Keyboard(typed))
            monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
        return guarded(lambda: scale.run(parse_arguments(command.split())))

    return run


def test_growing_names_the_gpus_and_does_not_ask(run, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    session = FakeSession()
    assert run(session, "scale pair 4", "n\n") == 0
    out, err = capsys.readouterr()
    assert "replica 2 starts on GPU 2 on node-1" in err and "replica 3 starts on GPU 3 on node-1" in err
    assert out == "pair http://h:1 4 replicas\n" and "[y/N]" not in err
    ((spec, drain_s),) = session.scaled
    assert spec.layout == Layout(dp=4) and drain_s == SCALE_DRAIN_S


@pytest.mark.parametrize(("typed", "ends"), [("y\n", True), ("n\n", False), ("", False)])
def test_ending_a_replica_is_asked_for(  # type: ignore[no-untyped-def]
    run, capsys: pytest.CaptureFixture[str], typed: str, ends: bool
) -> None:
    session = FakeSession()
    assert run(session, "scale pair 1 --drain-timeout 5", typed) == 0
    err = capsys.readouterr().err
    assert "replica 1 ends: GPU 1 on node-1" in err and "End 1 replica of pair? [y/N]" in err
    assert ("nothing was changed" in err) is not ends
    assert [(spec.layout.dp, drain_s) for spec, drain_s in session.scaled] == ([(1, 5.0)] if ends else [])


def test_the_number_that_runs_already_changes_nothing(run, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    session = FakeSession()
    assert run(session, "scale pair 2 --json") == 0
    out, err = capsys.readouterr()
    assert "pair already runs 2 replicas" in err and json.loads(out)["name"] == "pair"
    assert session.scaled == []


def test_what_cannot_be_done_is_one_line_and_its_status(run, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    assert run(FakeSession(), "scale pair 5") == 1
    assert "only 2 of 3 more replicas can be placed" in capsys.readouterr().err
    assert run(FakeSession(), "scale pear 1") == 2
    assert "no deployment named pear" in capsys.readouterr().err
    attention = PAIR.model_copy(update={"layout": Layout(tp=1, dp=2, ep=2, dp_attention=True)})
    assert run(FakeSession(attention), "scale pair 3") == 2
    assert "one engine" in capsys.readouterr().err


def test_a_growth_that_failed_shows_the_last_lines_of_its_server(  # type: ignore[no-untyped-def]
    run, capsys: pytest.CaptureFixture[str]
) -> None:
    session = FakeSession(failure=DeployFailed("pair: replica 2: ImportError", "Its 2 other replicas serve"))
    assert run(session, "scale pair 3") == 1
    err = capsys.readouterr().err
    assert "ImportError: no module" in err and "replica 2: ImportError" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("scale pair 0", "use clusterview stop"),
        ("scale pair -1", "not a whole number"),
        ("scale pair two", "not a whole number"),
        ("scale pair", "required"),
        ("scale pair 1 --drain-timeout x", "not a number of seconds"),
        ("stop pair --drain-timeout -1", "--drain-timeout"),
        ("stop pair --drain-timeout nan", "not a number of seconds"),
    ],
)
def test_bad_numbers_are_one_line(words: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    from cluster.cli.main import main

    assert main(words.split()) == 2
    err = capsys.readouterr().err
    assert told in err and len(err.strip().splitlines()) == 1
