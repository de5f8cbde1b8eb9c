"""`clusterview snapshot`: the cluster as it is now, for `--cluster FILE`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cluster.cli.dry_run import cluster_from
from cluster.units import count_of


def run(arguments: argparse.Namespace) -> int:
    """Write the snapshot to --output, or to stdout (also named '-')."""
    from cluster.snapshot import dump_cluster, save_cluster

    cluster = cluster_from(arguments)
    if arguments.no_calibration:
        cluster = cluster.without_measurements()
    if cluster.source == "ray" and arguments.cluster is None:
        from cluster.cli.ray_inventory import say_troubles

        say_troubles(cluster)
    if arguments.output in (None, "-"):
        sys.stdout.write(dump_cluster(cluster))
        return 0
    path = Path(arguments.output).expanduser()
    save_cluster(cluster, path)
    size = f"{count_of(len(cluster.nodes), 'node')}, {count_of(cluster.num_gpus, 'GPU')}"
    print(f"clusterview: wrote {size} to {path}", file=sys.stderr)
    return 0
