"""Following a log by pages: no line twice, none left out unsaid, and restarts are marked."""

from __future__ import annotations

import pytest

from cluster.deploy.log_page import LONGEST_LINE, LogPage
from cluster.deploy.log_tail import RESTARTED, LogTail
from cluster.deploy.server_names import servers_of
from cluster.deploy.status import DeploymentState, DeploymentStatus, RankState, RankStatus


class Log:
    """A server's log as a node agent serves it; it keeps the last `kept` lines."""

    def __init__(self, kept: int = 10**9) -> None:
        self.lines: list[str] = []
        self.start, self._kept = 1, kept

    def write(self, *lines: str) -> None:
        self.lines += lines

    def restart(self) -> None:
        self.lines, self.start = [], self.start + 1

    def page(self, first: int, most: int = 100) -> LogPage:
        begin = max(len(self.lines) + first, 0) if first < 0 else first
        begin = max(begin, len(self.lines) - self._kept)
        shown = tuple(self.lines[begin : begin + most])
        return LogPage(replica=0, first=begin, lines=shown, start=self.start)


def numbered(count: int, word: str = "line") -> list[str]:
    return [f"{word} {number}" for number in range(count)]


def read(tail: LogTail, log: Log, most: int = 100) -> list[str]:
    lines: list[str] = []
    while news := tail.take(log.page(tail.first, most)):
        lines += news
    return lines


def test_it_begins_with_the_last_lines_and_goes_on_from_there() -> None:
    log, tail = Log(), LogTail(3)
    log.write(*numbered(10))
    assert read(tail, log) == ["line 7", "line 8", "line 9"]
    assert read(tail, log) == []
    log.write("more", "and more")
    assert read(tail, log) == ["more", "and more"]


@pytest.mark.parametrize("most", [1, 3, 7])
def test_pages_of_any_length_give_every_line_once(most: int) -> None:
    log, tail = Log(), LogTail(20)
    log.write(*numbered(20))
    assert read(tail, log, most) == numbered(20)


def test_a_short_log_is_whole() -> None:
    log, tail = Log(), LogTail(100)
    assert read(tail, log) == []
    log.write("first")
    assert read(tail, log) == ["first"]


@pytest.mark.parametrize("after", [0, 2, 30])
def test_a_restart_is_marked_and_the_new_log_is_read_from_its_start(after: int) -> None:
    log, tail = Log(), LogTail(5)
    log.write(*numbered(10))
    read(tail, log)
    log.restart()
    log.write(*numbered(after, "new"))
    assert read(tail, log) == [RESTARTED, *numbered(after, "new")]
    log.write("later")
    assert read(tail, log) == ["later"]


def test_lines_that_were_dropped_meanwhile_are_counted() -> None:
    log, tail = Log(kept=4), LogTail(2)
    log.write(*numbered(3))
    read(tail, log)
    log.write(*numbered(10, "new"))
    assert read(tail, log) == ["--- 6 lines were dropped ---", "new 6", "new 7", "new 8", "new 9"]


def test_the_note_of_a_server_without_a_log_is_kept() -> None:
    tail = LogTail(5)
    assert tail.take(LogPage(replica=0, note="it runs inside its ranks")) == []
    assert tail.note == "it runs inside its ranks"
    assert len(LogPage(replica=0, lines=("x" * 10_000,)).lines[0]) <= LONGEST_LINE


def rank(replica: int, stage: int, number: int, node: str) -> RankStatus:
    return RankStatus(
        replica=replica,
        stage=stage,
        rank=number,
        node_id=f"id-{node}",
        node_name=node,
        gpu_index=0,
        gpu_uuid=f"{replica}{stage}{number}",
        state=RankState.READY,
    )


def test_servers_are_numbered_as_nodes_of_a_replica_in_rank_order() -> None:
    ranks = (
        rank(1, 0, 0, "b"),
        rank(0, 1, 0, "a"),
        rank(0, 1, 1, "a"),
        rank(0, 0, 1, "c"),
        rank(0, 0, 0, "c"),
    )
    status = DeploymentStatus(name="n", model="m", label="l", state=DeploymentState.READY, ranks=ranks)
    found = [(one.replica, one.member, one.node_name, one.ranks) for one in servers_of(status)]
    assert found == [(0, 0, "c", (0, 1)), (0, 1, "a", (2, 3)), (1, 0, "b", (0,))]
