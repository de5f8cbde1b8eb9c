"""The machine that the checks run on."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from typing import Any

from cluster.calibration.result import Calibration
from cluster.cluster_spec import parse_cluster_spec
from cluster.inventory import Cluster
from cluster.probe.local import read_cluster

# Fits any GPU of 24 GiB or more.
MODEL = "meta-llama/Llama-3.1-8B-Instruct"


class NoGpu(Exception):
    """There is nothing to check here."""


@dataclass(frozen=True)
class Machine:
    """Its GPUs by NVML; with `on_cpu` a made-up one, and the ranks run on the CPU."""

    cluster: Cluster
    model: str
    on_cpu: bool
    calibrations: list[Calibration] = field(default_factory=list)
    """Filled by the check that measures them."""

    def described(self) -> dict[str, Any]:
        """Return what identifies the machine."""
        import torch

        gpus = self.cluster.nodes[0].gpus
        names = (
            [] if self.on_cpu else [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
        )
        return {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "source": self.cluster.source,
            "gpus": [gpu.type for gpu in gpus],
            "torch_names": names,
            "on_cpu": self.on_cpu,
        }


def find_machine(*, on_cpu: bool, model: str | None) -> Machine:
    """Read this machine's GPUs; NoGpu says why there are none."""
    if on_cpu:
        return Machine(parse_cluster_spec("1x2xL4", "simulated"), model or MODEL, on_cpu=True)
    cluster = read_cluster()
    if cluster.source != "nvml":
        raise NoGpu(f"no NVIDIA GPU: {cluster.nodes[0].error}. --cpu runs the checks without one")
    return Machine(cluster, model or MODEL, on_cpu=False)
