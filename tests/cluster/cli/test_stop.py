"""`clusterview stop` asks a person, goes on in a script, and stops the rest when one thing fails."""

from __future__ import annotations

import io
import sys
from concurrent.futures import Future

import pytest

from cluster.bridge.events import DeploymentsSeen, SessionLost
from cluster.bridge.session import Listener
from cluster.cli import stop
from cluster.cli.arguments import parse_arguments
from cluster.cli.faults import guarded
from cluster.deploy.status import DeploymentState, DeploymentStatus, RankState, RankStatus
from cluster.errors import ClusterviewError, Unreachable


class FakeSession:
    """A cluster with deployments of these names; stopping those in `broken` fails."""

    title = "simulated 1x2xL4"
    can_deploy = True

    def __init__(self, *names: str, broken: tuple[str, ...] = (), lost: SessionLost | None = None) -> None:
        self.names, self.broken, self.lost = names, broken, lost
        self.stopped: list[str] = []

    def start(self, listener: Listener) -> None:
        if self.lost is not None:
            listener(self.lost)
            return
        listener(DeploymentsSeen(deployments=tuple(status(name) for name in self.names)))

    def stop(self, name: str, drain_s: float = 30.0) -> Future[None]:
        done: Future[None] = Future()
        if name in self.broken:
            done.set_exception(Unreachable(f"{name} did not answer"))
        else:
            self.stopped.append(name)
            done.set_result(None)
        return done

    def close(self) -> None:
        pass


RANK = RankStatus(
    replica=0,
    stage=0,
    rank=0,
    node_id="n",
    node_name="n",
    gpu_index=0,
    gpu_uuid="GPU-0",
    state=RankState.READY,
)


def status(name: str) -> DeploymentStatus:
    return DeploymentStatus(
        name=name,
        state=DeploymentState.READY,
        model="m",
        label="TP=1",
        age_s=1.0,
        endpoint="http://h:1",
        ranks=(RANK,),
    )


class Keyboard(io.StringIO):
    """A terminal at which this is typed."""

    def isatty(self) -> bool:
        return True


def run(monkeypatch: pytest.MonkeyPatch, session: FakeSession, command: str, typed: str | None = None) -> int:
    monkeypatch.setattr(stop, "running_sessions", lambda arguments: [(None, session)])
    monkeypatch.setattr(stop, "name_foreign_files", lambda: None)
    if typed is not None:
        monkeypatch.setattr(sys, "stdin", Keyboard(typed))
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    return guarded(lambda: stop.run(parse_arguments(command.split())))


@pytest.mark.parametrize(
    ("typed", "stopped"), [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False)]
)
def test_a_person_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, stopped: bool
) -> None:
    session = FakeSession("a", "b")
    assert run(monkeypatch, session, "stop a", typed) == 0
    out, err = capsys.readouterr()
    assert "Stop a (ready, m, 1 GPU, http://h:1)? [y/N] " in err
    assert session.stopped == (["a"] if stopped else [])
    assert (out, "nothing was stopped" in err) == (("stopped a\n", False) if stopped else ("", True))


def test_all_lists_what_it_will_end_and_asks_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    session = FakeSession("a", "b")
    assert run(monkeypatch, session, "stop --all", "n\n") == 0
    err = capsys.readouterr().err
    assert "clusterview: a (ready" in err and "clusterview: b (ready" in err and err.count("[y/N]") == 1
    assert "Stop these 2 deployments?" in err and session.stopped == []


@pytest.mark.parametrize(("command", "typed"), [("stop --all --yes", ""), ("stop --all", None)])
def test_yes_and_scripts_are_not_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, typed: str | None
) -> None:
    session = FakeSession("a", "b")
    assert run(monkeypatch, session, command, typed) == 0
    out, err = capsys.readouterr()
    assert (out, err, session.stopped) == ("stopped a\nstopped b\n", "", ["a", "b"])


@pytest.mark.parametrize("command", ["stop --all --dry-run", "--dry-run stop --all"])
def test_a_dry_run_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    session = FakeSession("a")
    assert run(monkeypatch, session, command) == 0
    assert capsys.readouterr().out == "would stop a (ready, m, 1 GPU, http://h:1)\n" and session.stopped == []


def test_one_failure_does_not_spare_the_rest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    session = FakeSession("a", "b", "c", broken=("a", "b"))
    assert run(monkeypatch, session, "stop --all") == 2
    out, err = capsys.readouterr()
    assert out == "stopped c\n" and "a did not answer" in err and "b did not answer" in err


def test_a_full_stdout_does_not_spare_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    session = FakeSession("a", "b")
    monkeypatch.setattr(sys, "stdout", Full())
    assert run(monkeypatch, session, "stop --all") == 3
    assert session.stopped == ["a", "b"]


def test_a_cluster_that_ended_meanwhile_has_nothing_to_stop(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = SessionLost(reason="no embedded cluster x is running", type="ClusterGone")
    assert run(monkeypatch, FakeSession(lost=gone), "stop --all") == 0
    assert capsys.readouterr().err == "clusterview: no deployment is running\n"
    assert run(monkeypatch, FakeSession(lost=SessionLost(reason="silent")), "stop --all") == 2
    assert issubclass(Unreachable, ClusterviewError)
