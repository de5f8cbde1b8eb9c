"""`clusterview doctor`: check this machine and its cluster, and report problems."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from cluster.cli.resolve import planning_cluster_from, ray_address_from
from cluster.cli.style import Style, style_for_stdout
from cluster.errors import ClusterviewError
from cluster.inventory import Cluster, Gpu
from cluster.packages import distribution_name, is_installed, missing
from cluster.planner.reasons.describe import describe_cluster
from cluster.units import count_of

_SMALL_PACKAGES = ("pynvml", "re2", "h11", "starlette", "uvicorn", "prometheus_client")
"""Come with every whole installation, so only their absence is worth a line."""

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    subject: str
    state: State
    told: str


def run(arguments: argparse.Namespace) -> int:
    """Print the findings; 0 when nothing fails, else 1."""
    findings = list(_examine(arguments))
    if arguments.json:
        print(json.dumps({"schema_version": 1, "findings": [asdict(one) for one in findings]}, indent=2))
    else:
        style = style_for_stdout()
        width = max(len(finding.subject) for finding in findings)
        for finding in findings:
            print(f"{_mark(finding.state, style)}  {finding.subject:<{width}}  {finding.told}")
    return 1 if any(finding.state == "fail" for finding in findings) else 0


def _examine(arguments: argparse.Namespace) -> Iterator[Finding]:
    yield Finding("Python", "ok", sys.version.split()[0])
    yield _package("textual", "fail")
    yield _package("ray", "fail")
    yield _package("torch", "warn")
    yield from (_package(name, "warn") for name in _SMALL_PACKAGES if not is_installed(name))
    yield _terminal()
    yield _state_folder()
    yield _limits()
    yield from _cluster(arguments)


def _package(name: str, state_without: State) -> Finding:
    """Look for a package, named as it is imported."""
    if not is_installed(name):
        return Finding(distribution_name(name), state_without, missing(name).one_line())
    try:
        return Finding(distribution_name(name), "ok", version(distribution_name(name)))
    except PackageNotFoundError:
        return Finding(distribution_name(name), "ok", "installed, version unknown")


def _terminal() -> Finding:
    if not sys.stdout.isatty():
        return Finding("terminal", "ok", "not a terminal: plans are printed as plain text")
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    if encoding != "utf8":
        return Finding(
            "terminal", "warn", f"{sys.stdout.encoding} cannot display every character; use --ascii"
        )
    return Finding("terminal", "ok", f"{os.environ.get('TERM', 'unknown')}, UTF-8")


def _state_folder() -> Finding:
    from cluster.bridge.state.folder import check_usable, state_path
    from cluster.cli.unknown_files import describe_foreign

    try:
        check_usable()
        foreign = describe_foreign()
    except ClusterviewError as error:
        return Finding("records", "fail", error.one_line())
    return Finding("records", "warn" if foreign else "ok", foreign or f"in {state_path()}")


def _limits() -> Finding:
    from cluster.bridge.limits import allow_open_files, check_room

    try:
        open_files = allow_open_files()
        check_room()
    except ClusterviewError as error:
        return Finding("limits", "fail", error.one_line())
    return Finding(
        "limits", "ok", f"{open_files:,} open files, enough space for a Ray cluster on this machine"
    )


def _cluster(arguments: argparse.Namespace) -> Iterator[Finding]:
    address = ray_address_from(arguments)
    try:
        described = planning_cluster_from(arguments)
        if described is not None:
            yield from _gpus("cluster", described)
        elif arguments.simulate:
            from cluster.cluster_spec import parse_cluster_spec

            yield from _gpus("simulated", parse_cluster_spec(arguments.simulate, "simulated"))
        elif address is not None:
            from cluster.cli.ray_inventory import read_ray_cluster

            yield from _gpus(f"ray {address}", read_ray_cluster(address))
        else:
            from cluster.probe.local import read_cluster

            yield from _gpus("NVML", read_cluster())
    except ClusterviewError as error:
        yield Finding("cluster", "fail", error.one_line())


def _gpus(subject: str, cluster: Cluster) -> Iterator[Finding]:
    summary = describe_cluster(cluster) if cluster.num_gpus else f"no GPU: {_where_none(cluster)}"
    yield Finding(subject, "ok" if cluster.num_gpus else "warn", summary)
    for node in cluster.nodes:
        if node.error:
            yield Finding(node.name, "warn", node.error)
        for gpu in node.gpus:
            yield from _gpu(f"{node.name} GPU {gpu.index}", gpu)


def _gpu(subject: str, gpu: Gpu) -> Iterator[Finding]:
    health = gpu.health
    if gpu.unhealthy_reason:
        judged = health is not None and health.state == "unhealthy"
        yield Finding(subject, "fail", health.summary if health and judged else gpu.unhealthy_reason)
    elif health is not None and health.state == "degraded":
        yield Finding(subject, "warn", f"degraded: {health.summary}")


def _where_none(cluster: Cluster) -> str:
    if cluster.source == "ray" and not any(node.error for node in cluster.nodes):
        return f"neither Ray nor NVML reports one on {count_of(len(cluster.nodes), 'node')}"
    return "see below" if cluster.source == "ray" else "try --simulate"


def _mark(state: State, style: Style) -> str:
    if state == "ok":
        return style.good("ok  ")
    return style.warn("warn") if state == "warn" else style.bad("FAIL")
