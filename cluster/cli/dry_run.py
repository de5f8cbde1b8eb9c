"""`clusterview --dry-run`: the planner without a screen."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from cluster.cli.defaults import read_defaults
from cluster.cli.open_source import recorded_cluster
from cluster.cli.resolve import (
    check_lengths,
    model_from,
    planning_cluster_from,
    ray_address_from,
    request_from,
)
from cluster.errors import BadInput
from cluster.text import clean

if TYPE_CHECKING:
    from cluster.inventory import Cluster
    from cluster.planner.result import Plan

_GPUS_NAMED_IN_FULL = 512


def run_dry_run(arguments: argparse.Namespace) -> int:
    """Plan and print: text, or JSON with --json. Returns 0 when a layout was found, 1 when none fits."""
    request = request_from(arguments)
    cluster = cluster_from(arguments)
    check_live(arguments, cluster)
    model = model_from(arguments)
    check_lengths(request, model)

    from cluster.planner.plan import plan

    answer = plan(cluster, model, request)
    if arguments.engine_python is not None:
        note = "--engine-python has no effect here: only a deployment looks at the nodes' engines"
        print(f"clusterview: {note}", file=sys.stderr)
    if arguments.model is None:
        print(f"clusterview: no --model given, planning for {model.name}", file=sys.stderr)
    if arguments.json:
        from cluster.cli.print_json import print_json

        print_json(answer, arguments.top or most_in_json(answer))
    else:
        from cluster.cli.print_plan import print_plan

        print_plan(answer)
    return 0 if answer.recommended else 1


def most_in_json(answer: Plan) -> int | None:
    """Return how many candidates to write: None for all, unless naming all their GPUs takes gigabytes."""
    return None if answer.cluster.num_gpus <= _GPUS_NAMED_IN_FULL else answer.request.top


def cluster_from(arguments: argparse.Namespace) -> Cluster:
    """Return the cluster to plan for: --cluster, --simulate, a Ray cluster, else this machine's GPUs."""
    named = planning_cluster_from(arguments)
    if named is not None:
        return named
    recorded = recorded_cluster(arguments)
    if recorded is not None:
        return recorded
    if arguments.simulate:
        return _simulated(arguments.simulate)
    if arguments.observe:
        from cluster.cli.ray_inventory import read_observed

        return read_observed(arguments.observe)
    address = ray_address_from(arguments)
    if address is not None:
        from cluster.cli.ray_inventory import read_ray_cluster

        return read_ray_cluster(address)
    return _this_machine(demo=arguments.demo)


def check_live(arguments: argparse.Namespace, cluster: Cluster) -> None:
    """For a running cluster: report nodes that could not be read; BadInput if there is no GPU at all."""
    if cluster.source != "ray" or arguments.cluster is not None:
        return
    from cluster.cli.ray_inventory import check_has_gpus, say_troubles

    example = read_defaults().simulated_cluster
    where = f"ray {clean(arguments.observe or ray_address_from(arguments) or '', 80)}"
    check_has_gpus(cluster, where, f"Or plan for --cluster {example}")
    say_troubles(cluster)


def _this_machine(demo: bool) -> Cluster:
    from cluster.cli.this_machine import read_this_machine

    found = read_this_machine()
    if found.num_gpus:
        from cluster.bridge.calibrations import calibrated

        return calibrated(found)
    example = read_defaults().simulated_cluster
    if demo:
        return _simulated(example)
    reasons = [node.error for node in found.nodes if node.error]
    raise BadInput(
        f"no NVIDIA GPU found on this machine{f' ({reasons[0]})' if reasons else ''}",
        f"Try --cluster {example}, --simulate {example} or --address HOST:PORT",
    )


def _simulated(spec: str) -> Cluster:
    from cluster.scenes.cluster import simulated_cluster

    return simulated_cluster(spec)
