"""`clusterview doctor`: check this machine and its cluster, and report problems."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version

from cluster.cli.doctor_gpus import Finding, State, gpu_findings
from cluster.cli.resolve import planning_cluster_from, ray_address_from
from cluster.cli.style import Style, style_for_stdout
from cluster.errors import ClusterviewError
from cluster.packages import distribution_name, is_installed, missing
from cluster.text import clean

_SMALL_PACKAGES = ("pynvml", "re2", "h11", "starlette", "uvicorn", "prometheus_client")
"""Come with every whole installation, so only their absence is worth a line."""

_STATUSES: dict[State, int] = {"ok": 0, "warn": 1, "fail": 2}


def run(arguments: argparse.Namespace) -> int:
    """Print the findings; 0 when all is well, 1 when the worst is a warning, 2 when something fails."""
    findings = list(_examine(arguments))
    if arguments.json:
        print(json.dumps({"schema_version": 1, "findings": [asdict(one) for one in findings]}, indent=2))
    else:
        style = style_for_stdout()
        width = max(len(finding.subject) for finding in findings)
        for finding in findings:
            print(f"{_mark(finding.state, style)}  {finding.subject:<{width}}  {finding.told}")
    return max(_STATUSES[finding.state] for finding in findings)


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
            yield from gpu_findings("cluster", described)
        elif arguments.simulate:
            from cluster.scenes.cluster import simulated_cluster

            yield from gpu_findings("simulated", simulated_cluster(arguments.simulate))
        elif arguments.observe:
            from cluster.cli.ray_inventory import read_observed

            yield from gpu_findings(f"ray {clean(arguments.observe, 80)}", read_observed(arguments.observe))
        elif address is not None:
            from cluster.cli.ray_inventory import read_ray_cluster

            yield from gpu_findings(f"ray {address}", read_ray_cluster(address))
        else:
            from cluster.cli.this_machine import read_this_machine

            yield from gpu_findings("NVML", read_this_machine())
    except ClusterviewError as error:
        yield Finding("cluster", "fail", error.one_line())


def _mark(state: State, style: Style) -> str:
    if state == "ok":
        return style.good("ok  ")
    return style.warn("warn") if state == "warn" else style.bad("FAIL")
