"""The calibrations of this user: kept on disk, and given to every cluster that still has the GPUs."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from cluster.bridge.state.measurements import find_all, keep
from cluster.calibration.apply import with_calibrations
from cluster.calibration.result import Calibration
from cluster.errors import ClusterviewError
from cluster.inventory import Cluster

_KIND = "calibration"


def keep_calibration(calibration: Calibration) -> Path:
    """Keep a calibration in the place of an earlier one of the same GPUs; raises SystemFailed."""
    uuids = sorted(uuid for uuids in calibration.gpus_by_node.values() for uuid in uuids)
    name = hashlib.sha256("\n".join(uuids).encode()).hexdigest()[:16]
    return keep(_KIND, name, calibration)


def kept_calibrations() -> list[Calibration]:
    """Return all that are kept, newest first."""
    return sorted(find_all(_KIND, Calibration), key=lambda one: -one.measured_at_s)


def calibrated(cluster: Cluster) -> Cluster:
    """Return the cluster with what was measured on its GPUs; a plan then uses that and says so."""
    if cluster.simulated or not cluster.num_gpus:
        return cluster
    # Where the folder cannot be used, plans go on with the built-in constants.
    with contextlib.suppress(ClusterviewError, OSError):
        return with_calibrations(cluster, kept_calibrations())
    return cluster
