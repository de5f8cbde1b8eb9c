"""`clusterview logs`: what the engine's servers of a deployment wrote, and go on writing."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field

from cluster.bridge.session import Session
from cluster.cli.find_deployment import found_deployment
from cluster.cli.session_view import SessionView, say
from cluster.deploy.log_tail import LogTail
from cluster.deploy.server_names import ServerName, servers_of
from cluster.deploy.status import DeploymentState, DeploymentStatus
from cluster.errors import BadInput, ClusterviewError, Unreachable

_ANSWER_S = 15.0
_LOOK_S = 1.0
_MOST_LINES = 500
"""Per page; a longer log is read page by page."""
_MOST_PAGES = 10
"""At a time: more than a node keeps; a server that never stops writing must not hold up the others."""
_MOST_FAILURES = 30
_ENDED = (DeploymentState.STOPPED, DeploymentState.FAILED)


@dataclass
class _Reader:
    """One server whose log is printed."""

    server: ServerName
    tail: LogTail
    prefix: str
    failures: int = 0
    said: str = field(default="")
    """What was last said about it on stderr."""


def run(arguments: argparse.Namespace) -> int:
    """Print the last lines of each selected server's log; with --follow also what comes, to the end.

    Returns 1 if the deployment failed meanwhile.
    """
    with found_deployment(arguments) as (view, status):
        chosen = choose(arguments, status)
        readers = [
            _Reader(server, LogTail(arguments.lines), f"{server.text} | " if len(chosen) > 1 else "")
            for server in chosen
        ]
        if not arguments.follow:
            for reader in readers:
                _print_whole(view.session, status.name, reader)
            return 0
        return _follow(view, status.name, readers)


def choose(arguments: argparse.Namespace, status: DeploymentStatus) -> list[ServerName]:
    """Return the servers that the options select, all without any; BadInput names those there are."""
    servers = servers_of(status)
    if not servers:
        raise Unreachable(f"the controller of {status.name} has not answered yet", "Try again in a moment")
    replica = 0 if arguments.replica is None and arguments.rank is not None else arguments.replica
    chosen = [
        server
        for server in servers
        if replica in (None, server.replica)
        and (arguments.rank is None or arguments.rank in server.ranks)
        and arguments.node in (None, server.node_name)
    ]
    if not chosen:
        known = "; ".join(_described(server) for server in servers[:8])
        raise BadInput(f"{status.name} has no such server", f"Its servers: {known}")
    return chosen


def _described(server: ServerName) -> str:
    ranks = (
        f"rank {server.ranks[0]}" if len(server.ranks) == 1 else f"ranks {server.ranks[0]}-{server.ranks[-1]}"
    )
    return f"replica {server.replica} on {server.node_name} ({ranks})"


def _print_whole(session: Session, name: str, reader: _Reader) -> None:
    """Print a log up to its present end."""
    _print_pages(session, name, reader)
    if reader.tail.note:
        say(f"{reader.server.text}: {reader.tail.note}")


def _print_pages(session: Session, name: str, reader: _Reader) -> None:
    for _ in range(_MOST_PAGES):
        lines = _next_lines(session, name, reader)
        if not lines:
            return
        print("\n".join(f"{reader.prefix}{line}" for line in lines), flush=True)


def _next_lines(session: Session, name: str, reader: _Reader) -> list[str]:
    server = reader.server
    asked = session.logs(name, server.replica, server.member, reader.tail.first, _MOST_LINES)
    try:
        return reader.tail.take(asked.result(_ANSWER_S))
    except TimeoutError:
        raise Unreachable(f"the log of {name} did not come within {_ANSWER_S:.0f} s") from None


def _follow(view: SessionView, name: str, readers: Sequence[_Reader]) -> int:
    while True:
        # Looked up first: what was written before the end is then still printed.
        status = view.find(name)
        for reader in readers:
            _print_news(view.session, name, reader, is_last=status is None)
        if status is None or status.state in _ENDED or _nothing_comes(status, readers):
            return _say_end(name, status)
        try:
            view.wait(lambda: False, _LOOK_S)
        except ClusterviewError:
            # A cluster of ours ends with its last deployment.
            if status.state is not DeploymentState.STOPPING:
                raise
            return _say_end(name, None)


def _print_news(session: Session, name: str, reader: _Reader, *, is_last: bool) -> None:
    """Print what is new of one server; a controller that does not answer for a while is only mentioned."""
    try:
        _print_pages(session, name, reader)
        reader.failures = 0
        _say_once(reader, reader.tail.note)
    except ClusterviewError as error:
        reader.failures += 1
        if not is_last and reader.failures > _MOST_FAILURES:
            raise
        if not is_last:
            _say_once(reader, error.one_line())


def _say_once(reader: _Reader, message: str) -> None:
    if message and message != reader.said:
        say(f"{reader.server.text}: {message}")
    reader.said = message


def _nothing_comes(status: DeploymentStatus, readers: Sequence[_Reader]) -> bool:
    """True for an engine that runs inside its ranks; a server that has ended is started again."""
    return not status.is_server and all(reader.tail.note for reader in readers)


def _say_end(name: str, status: DeploymentStatus | None) -> int:
    if status is None:
        say(f"{name} has ended")
        return 0
    if status.state is DeploymentState.FAILED:
        say(f"{name} failed: {status.reason}")
        return 1
    return 0
