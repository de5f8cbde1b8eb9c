"""`clusterview report`: one line of JSON, or one line that says why there is none."""

from __future__ import annotations

import json
from concurrent.futures import Future
from pathlib import Path

import pytest

from cluster.bridge.events import ClusterSeen, DeploymentsSeen, ReadingsSeen
from cluster.bridge.session import Listener
from cluster.cli import find_deployment, report
from cluster.cli.arguments import parse_arguments
from cluster.cli.faults import guarded
from cluster.cluster_spec import parse_cluster_spec
from cluster.deploy.spec import DeploymentSpec
from cluster.deploy.status import DeploymentState, DeploymentStatus, Measured
from cluster.errors import ClusterviewError, Unreachable
from cluster.telemetry import NodeReading
from tests.ray.support import order

CLUSTER = parse_cluster_spec("1x2xL4", "simulated")
SPEC = order(CLUSTER, "tiny", [[(0, 0), (0, 1)]])


class FakeSession:
    """A cluster with one deployment."""

    title = "here"
    can_deploy = True

    def __init__(self) -> None:
        self.measured = Measured(throughput_tokens_per_s=12.5)
        self.fail_with: ClusterviewError | None = None

    def start(self, listener: Listener) -> None:
        listener(ClusterSeen(cluster=CLUSTER))
        nodes = tuple(
            NodeReading(node_id=node.node_id, taken_at_s=0.0, simulated=True) for node in CLUSTER.nodes
        )
        listener(ReadingsSeen(nodes=nodes))
        status = DeploymentStatus(
            name="tiny", model="tiny", label="TP=2", state=DeploymentState.READY, measured=self.measured
        )
        listener(DeploymentsSeen(deployments=(status,)))

    def describe(self, name: str) -> Future[DeploymentSpec]:
        done: Future[DeploymentSpec] = Future()
        if self.fail_with is not None:
            done.set_exception(self.fail_with)
        else:
            done.set_result(SPEC)
        return done

    def close(self) -> None:
        return


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    fake = FakeSession()
    monkeypatch.setattr(find_deployment, "running_sessions", lambda _: [(None, fake)])
    monkeypatch.setattr(report, "last_load", lambda title, name: None)
    monkeypatch.setattr("cluster.cli.session_view._CLOSE_S", 0.1)
    return fake


def run(*words: str) -> int:
    return guarded(lambda: report.run(parse_arguments(["report", *words])))


def test_the_row_goes_to_stdout_as_one_line(session: FakeSession, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("tiny") == 0
    (line,) = capsys.readouterr().out.splitlines()
    row = json.loads(line)
    assert (row["kind"], row["model"], row["tp"], row["simulated"]) == ("clusterview_report", "tiny", 2, True)
    assert row["traffic"] == {"output_tok_s": 12.5}


def test_the_row_goes_to_a_file_and_its_limits_are_said(
    session: FakeSession, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "reports.jsonl"
    assert run("tiny", "-o", str(path)) == 0
    assert json.loads(path.read_text())["source"] == "clusterview report"
    printed = capsys.readouterr()
    assert printed.out == "" and "SIMULATED, and is not scored" in printed.err


def test_a_file_that_cannot_be_written_is_one_line(
    session: FakeSession, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run("tiny", "-o", str(tmp_path / "none" / "x.jsonl")) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_before_anything_is_measured_there_is_no_row(
    session: FakeSession, capsys: pytest.CaptureFixture[str]
) -> None:
    session.measured = Measured(absent={"ttft_s": "no request"})
    assert run("tiny") == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "nothing was measured of tiny yet: it is ready" in printed.err


def test_a_silent_controller_is_one_line(session: FakeSession, capsys: pytest.CaptureFixture[str]) -> None:
    session.fail_with = Unreachable("the controller of tiny has not answered for 10 s")
    assert run("tiny") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_an_unknown_name_is_refused(session: FakeSession, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("tinny") == 2
    assert "Nearest: tiny" in capsys.readouterr().err
