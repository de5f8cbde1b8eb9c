"""`clusterview logs`: whose lines, how they are told apart, and how following ends."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

import pytest

from cluster.bridge.events import DeploymentsSeen, SessionLost
from cluster.bridge.session import Listener
from cluster.cli import find_deployment, logs
from cluster.cli.arguments import parse_arguments
from cluster.cli.faults import guarded
from cluster.deploy.log_page import LogPage
from cluster.deploy.status import DeploymentState, DeploymentStatus
from cluster.errors import Unreachable
from tests.cluster.deploy.test_log_tail import Log, numbered, rank

RANKS = (rank(0, 0, 0, "gpu-a"), rank(0, 0, 1, "gpu-b"), rank(1, 0, 0, "gpu-c"), rank(1, 0, 1, "gpu-c"))
STATUS = DeploymentStatus(
    name="llama", model="m", label="TP=2", state=DeploymentState.READY, ranks=RANKS, is_server=True
)


class FakeSession:
    """A cluster with one deployment, whose logs are `log` of (replica, member)."""

    title = "here"
    can_deploy = True

    def __init__(self, status: DeploymentStatus = STATUS) -> None:
        self.status = status
        self.log: dict[tuple[int, int], Log] = {(0, 0): Log(), (0, 1): Log(), (1, 0): Log()}
        self.note = ""
        self.broken: Exception | None = None
        self.before_answer: Callable[[int], None] = lambda number: None
        self._asked = 0
        self._listener: Listener = lambda event: None

    def start(self, listener: Listener) -> None:
        self._listener = listener
        self.say(self.status)

    def say(self, *statuses: DeploymentStatus) -> None:
        self._listener(DeploymentsSeen(deployments=statuses))

    def lose(self) -> None:
        self._listener(SessionLost(reason="the embedded cluster has ended"))

    def logs(self, name: str, replica: int, member: int, first: int, most: int) -> Future[LogPage]:
        assert name == "llama"
        self._asked += 1
        self.before_answer(self._asked)
        done: Future[LogPage] = Future()
        if self.broken is not None:
            done.set_exception(self.broken)
        elif self.note:
            start = self.log[replica, member].start
            done.set_result(LogPage(replica=replica, note=self.note, start=start))
        else:
            done.set_result(self.log[replica, member].page(first, most))
        return done

    def close(self) -> None:
        return


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    fake = FakeSession()
    monkeypatch.setattr(find_deployment, "running_sessions", lambda _: [(None, fake)])
    monkeypatch.setattr(logs, "_LOOK_S", 0.01)
    return fake


def run(*words: str) -> int:
    return guarded(lambda: logs.run(parse_arguments(["logs", *words])))


def test_lines_of_several_servers_name_their_server(
    session: FakeSession, capsys: pytest.CaptureFixture[str]
) -> None:
    for (replica, member), log in session.log.items():
        log.write(f"from {replica}.{member}")
    assert run("llama") == 0
    assert capsys.readouterr().out.splitlines() == [
        "R0 gpu-a | from 0.0",
        "R0 gpu-b | from 0.1",
        "R1 gpu-c | from 1.0",
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--rank", "1"), "0.1"),
        (("--rank", "1", "--replica", "1"), "1.0"),
        (("--replica", "1"), "1.0"),
        (("--node", "gpu-b"), "0.1"),
        (("--replica", "0", "--node", "gpu-a"), "0.0"),
    ],
)
def test_one_server_is_chosen(
    session: FakeSession, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], expected: str
) -> None:
    for (replica, member), log in session.log.items():
        log.write(f"{replica}.{member}")
    assert run("llama", *options) == 0
    assert capsys.readouterr().out == f"{expected}\n"


@pytest.mark.parametrize(
    "options", [("--rank", "2"), ("--replica", "2"), ("--node", "x"), ("--replica", "1", "--node", "gpu-a")]
)
def test_a_server_that_is_not_there_lists_those_that_are(
    session: FakeSession, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    assert run("llama", *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "replica 0 on gpu-a (rank 0)" in line and "replica 1 on gpu-c (ranks 0-1)" in line


@pytest.mark.parametrize("words", [("--rank", "-1"), ("--rank", "x"), ("--lines", "0"), ("--node", "")])
def test_a_bad_option_is_one_line(
    session: FakeSession, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert run("llama", *words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_another_name_is_refused(session: FakeSession, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("lama") == 2
    assert "Nearest: llama" in capsys.readouterr().err


def test_so_many_lines_from_the_end(session: FakeSession, capsys: pytest.CaptureFixture[str]) -> None:
    session.log[0, 0].write(*numbered(1500))
    assert run("llama", "--node", "gpu-a", "--lines", "1200") == 0
    assert capsys.readouterr().out.splitlines() == numbered(1500)[300:]


def test_following_prints_what_comes_over_a_restart_to_the_end(
    session: FakeSession, capsys: pytest.CaptureFixture[str]
) -> None:
    log = session.log[0, 0]
    log.write("one")

    def before(number: int) -> None:
        if number == 3:
            log.write("two")
        if number == 5:
            log.restart()
            log.write("three")
        if number == 10:
            log.write("last")
            session.say()

    session.before_answer = before
    assert run("llama", "--node", "gpu-a", "--follow") == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["one", "two", "--- the server was started again ---", "three", "last"]
    assert printed.err == "clusterview: llama has ended\n"


def test_following_waits_for_the_restart_of_a_server_that_has_ended(
    session: FakeSession, capsys: pytest.CaptureFixture[str]
) -> None:
    """The deployment may still be called ready when its server's last lines are read."""
    log = session.log[0, 0]
    log.write("one")

    def before(number: int) -> None:
        session.note = "its server has ended" if 3 <= number < 6 else ""
        if number == 6:
            log.restart()
            log.write("again")
        if number == 10:
            session.say()

    session.before_answer = before
    assert run("llama", "--node", "gpu-a", "--follow") == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["one", "--- the server was started again ---", "again"]
    assert printed.err.count("its server has ended") == 1


def test_following_a_deployment_that_fails_is_a_failure(
    session: FakeSession, capsys: pytest.CaptureFixture[str]
) -> None:
    session.status = STATUS.model_copy(update={"state": DeploymentState.FAILED, "reason": "CUDA error"})
    session.log[0, 0].write("Traceback")
    assert run("llama", "--node", "gpu-a", "-f") == 1
    printed = capsys.readouterr()
    assert printed.out == "Traceback\n" and "llama failed: CUDA error" in printed.err


def test_an_engine_without_a_log_says_where_its_output_is(
    session: FakeSession, capsys: pytest.CaptureFixture[str]
) -> None:
    session.status = STATUS.model_copy(update={"is_server": False})
    session.note = "the built-in engine runs inside its ranks"
    assert run("llama", "--node", "gpu-a", "--follow") == 0
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("the built-in engine runs inside its ranks") == 1


def test_a_silent_controller_is_mentioned_once_and_waited_for(
    session: FakeSession, capsys: pytest.CaptureFixture[str]
) -> None:
    session.log[0, 0].write("line")
    session.broken = Unreachable("the controller of llama has not answered for 10 s")

    def before(number: int) -> None:
        if number == 5:
            session.broken = None
        if number == 8:
            session.say()

    session.before_answer = before
    assert run("llama", "--node", "gpu-a", "-f") == 0
    printed = capsys.readouterr()
    assert printed.out == "line\n" and printed.err.count("has not answered") == 1


def test_without_following_a_silent_controller_is_one_line(
    session: FakeSession, capsys: pytest.CaptureFixture[str]
) -> None:
    session.broken = Unreachable("the controller of llama has not answered for 10 s")
    assert run("llama") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(("state", "expected"), [(DeploymentState.STOPPING, 0), (DeploymentState.READY, 2)])
def test_a_cluster_that_ends_with_its_last_deployment_is_no_error(
    session: FakeSession, state: DeploymentState, expected: int
) -> None:
    session.status = STATUS.model_copy(update={"state": state})
    session.before_answer = lambda number: session.lose() if number == 2 else None
    assert run("llama", "--node", "gpu-a", "-f") == expected
