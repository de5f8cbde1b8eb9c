"""`clusterview status`: the deployments on every known running cluster."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import ExitStack

from cluster.bridge.state.losses import read_losses
from cluster.catalog.nearest import nearest_names
from cluster.cli.known_clusters import running_sessions
from cluster.cli.session_view import SessionView, say
from cluster.cli.troubles import loss_line, trouble_lines
from cluster.cli.unknown_files import name_foreign_files
from cluster.deploy.status import DeploymentStatus, RankStatus, ReplicaStatus
from cluster.errors import ClusterGone, ClusterviewError, UnknownName
from cluster.units import count_of, format_bytes, format_duration

Found = tuple[str, DeploymentStatus]
"""(title of the cluster, deployment)."""


def run(arguments: argparse.Namespace) -> int:
    """Print all deployments, or the one that is named; UnknownName when there is none of that name."""
    found, losses = list(_look(arguments)), read_losses()
    if arguments.name is not None:
        found = _only(arguments.name, found)
    if arguments.json:
        rows = [{"cluster": title, **status.model_dump(mode="json")} for title, status in found]
        lost = [loss.model_dump(mode="json", exclude={"mark"}) for loss in losses]
        print(json.dumps({"schema_version": 1, "deployments": rows, "lost": lost}, indent=2))
        return 0
    if not found:
        print("no deployment is running")
    for title, status in found:
        print("\n".join(_lines(title, status)))
    for loss in losses:
        print(loss_line(loss))
    return 0


def _look(arguments: argparse.Namespace) -> Iterator[Found]:
    sessions = running_sessions(arguments)
    name_foreign_files()
    with ExitStack() as stack:
        views = [stack.enter_context(SessionView(s, shows_progress=False)) for _, s in sessions]
        for view in views:
            try:
                yield from ((view.session.title, status) for status in view.settled_deployments())
            except ClusterGone:
                continue
            except ClusterviewError as error:
                if len(views) == 1:
                    raise
                say(f"{view.session.title}: {error.one_line()}")


def _only(name: str, found: list[Found]) -> list[Found]:
    named = [(title, status) for title, status in found if status.name == name]
    if not named:
        raise unknown_deployment(name, [status.name for _, status in found])
    return named


def unknown_deployment(name: str, running: list[str]) -> UnknownName:
    """Return the error for an unknown deployment: why it was lost, else the nearest names."""
    for loss in read_losses():
        if name in loss.deployments:
            return UnknownName(f"no deployment named {name} is running", loss_line(loss))
    nearest = nearest_names(name, running)
    hint = f"Running: {', '.join(sorted(running))}" if running else "No deployment is running"
    hint = f"Nearest: {', '.join(nearest)}" if nearest else hint
    return UnknownName(f"there is no deployment named {name}", hint)


def _lines(title: str, status: DeploymentStatus) -> Iterator[str]:
    reason = f": {status.reason}" if status.reason else ""
    yield f"{status.name}  {status.state}{reason}  ({format_duration(status.age_s)})"
    mark = f"  SIMULATED, {status.scale}" if status.simulated else ""
    yield f"  {status.model}  {status.label}  on {title}{mark}"
    yield from _what_runs(status)
    if status.endpoint:
        yield f"  {status.endpoint}/v1  {status.tokens_per_s:,.1f} tokens/s"
    yield from trouble_lines(status)
    for replica in status.replicas:
        yield _replica_line(replica)
        yield from (_rank_line(rank) for rank in status.ranks if rank.replica == replica.replica)


def _what_runs(status: DeploymentStatus) -> Iterator[str]:
    """The engine and the weights, and what differs from what was asked for."""
    if status.engine is not None:
        dummy = "  DUMMY WEIGHTS" if status.weights == "dummy" else ""
        yield f"  engine {status.engine.text}{dummy}"
    yield from (f"  note: {remark}" for remark in status.remarks)


def _replica_line(replica: ReplicaStatus) -> str:
    parts = ["ready" if replica.ready else "not ready", count_of(replica.requests_total, "request")]
    parts.append(f"{replica.in_flight:,} in flight")
    parts.append(f"{replica.tokens_per_s:,.1f} tokens/s")
    if replica.all_reduces_per_token is not None and replica.all_reduce_share is not None:
        share = f"{100 * replica.all_reduce_share:.0f}% of the time"
        parts.append(f"{replica.all_reduces_per_token:,.0f} all-reduces per token, {share}")
    if replica.restarts:
        parts.append(count_of(replica.restarts, "restart"))
    return f"  replica {replica.replica}: {', '.join(parts)}"


def _rank_line(rank: RankStatus) -> str:
    where = f"{rank.node_name} GPU {rank.gpu_index}"
    progress = f" {100 * rank.progress:.0f}%" if rank.progress is not None else ""
    reason = f": {rank.reason}" if rank.reason else ""
    memory = f", {format_bytes(rank.memory_used_bytes)} used" if rank.memory_used_bytes is not None else ""
    return f"    stage {rank.stage} rank {rank.rank}  {where}  {rank.state}{progress}{reason}{memory}"
