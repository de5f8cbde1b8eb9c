"""`clusterview calibrate`: measure what this cluster's links and GPUs achieve, for every later plan of it."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from cluster.calibration.result import Calibration
from cluster.cli.calibrate_lines import calibration_lines
from cluster.cli.resolve import ray_address_from, refuse_two_sources
from cluster.cli.session_view import SessionView, finish, say
from cluster.errors import BadInput, DeployFailed

if TYPE_CHECKING:
    from cluster.bridge.client import RaySession

_MOST_S = 420.0
"""Starting processes, and two minutes of measuring."""


def run(arguments: argparse.Namespace) -> int:
    """Calibrate and keep the result, or list what is kept; returns 0.

    Raises DeployFailed where nothing could be measured.
    """
    refuse_two_sources(arguments)
    if arguments.show:
        return _show(arguments)
    if arguments.cluster is not None:
        raise BadInput("--cluster names a cluster for planning only", "Calibrate with --address, or here")
    found = _measure(arguments)
    if not found.links and not found.rates:
        raise DeployFailed("nothing could be measured", "; ".join(found.skipped[:4]))
    if not found.simulated:
        from cluster.bridge.calibrations import keep_calibration

        say(f"kept in {keep_calibration(found)}; every later plan of this cluster uses it")
    _print([found], arguments, kept=not found.simulated)
    return 0


def _measure(arguments: argparse.Namespace) -> Calibration:
    from cluster.bridge.open_session import ray_session, simulated_session

    address = ray_address_from(arguments)
    if arguments.simulate is not None:
        say("SIMULATED: this measures the CPU of this machine, and no plan will use it")
        return _on_ray(simulated_session(arguments.simulate))
    if address is not None:
        return _on_ray(ray_session(address))
    return _here()


def _on_ray(session: RaySession) -> Calibration:
    with SessionView(session) as view:
        view.settled_cluster()
        return finish(session.calibrate(), _MOST_S)


def _here() -> Calibration:
    from cluster.calibration.local import calibrate_here
    from cluster.cli.this_machine import read_this_machine
    from cluster.packages import require

    cluster = read_this_machine()
    if not cluster.num_gpus:
        reasons = [node.error for node in cluster.nodes if node.error]
        raise BadInput(
            f"no NVIDIA GPU found on this machine{f' ({reasons[0]})' if reasons else ''}",
            "Calibrate a cluster with --address HOST:PORT",
        )
    require("torch")
    return calibrate_here(cluster, f"this machine ({cluster.nodes[0].name})", say)


def _show(arguments: argparse.Namespace) -> int:
    from cluster.bridge.calibrations import kept_calibrations

    found = kept_calibrations()
    if not found and not arguments.json:
        print("nothing is calibrated; run: clusterview calibrate")
        return 0
    _print(found, arguments, kept=True)
    return 0


def _print(found: list[Calibration], arguments: argparse.Namespace, *, kept: bool) -> None:
    if arguments.json:
        rows = [one.model_dump(mode="json") for one in found]
        print(json.dumps({"schema_version": 1, "kept": kept, "calibrations": rows}, indent=2))
        return
    for calibration in found:
        print("\n".join(calibration_lines(calibration)))
