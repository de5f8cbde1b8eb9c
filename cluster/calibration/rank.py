"""One rank of a calibration: a plain object that a Ray actor or a process holds. It owns one device."""

from __future__ import annotations

import contextlib
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from cluster.packages import is_installed, missing

_DTYPES = ("bf16", "fp16", "fp32", "fp8", "int8")
_CPU_DTYPES = ("fp32", "bf16")
_DRIVER = Path("/proc/driver/nvidia/version")


class CalibrationRank:
    """Measures on its device. `device` is 'cuda' (the first one visible to this process) or 'cpu'."""

    def __init__(self, device: str, address: str = "127.0.0.1") -> None:
        self._kind, self._address = device, address
        self._device: Any = None

    def prepare(self) -> str:
        """Import torch and take the device; returns what is wrong, empty when nothing is."""
        if not is_installed("torch"):
            return missing("torch").one_line()
        import torch

        if self._kind == "cpu":
            torch.set_num_threads(1)
        elif not torch.cuda.is_available():
            return f"torch {torch.__version__} sees no GPU: it may be built for the CPU"
        self._device = torch.device(self._kind if self._kind == "cpu" else "cuda:0")
        return ""

    def software(self) -> str:
        """Return the versions that rates depend on: 'torch 2.9.0, CUDA 12.8, driver 570.86'."""
        import torch

        parts = [f"torch {torch.__version__}"]
        if torch.version.cuda:
            parts.append(f"CUDA {torch.version.cuda}")
        with contextlib.suppress(OSError):
            found = re.search(r"Kernel Module\s.{0,40}?([0-9]{3}\.[0-9.]{1,12})", _DRIVER.read_text()[:500])
            parts += [f"driver {found[1]}"] if found else []
        return ", ".join(parts)

    def rates(self) -> tuple[dict[str, float], dict[str, float], dict[str, str]]:
        """Return memory rates by kind, rates of products by dtype, and why dtypes have none."""
        from cluster.calibration.kernels import memory_rates, product_rates

        products, absent = product_rates(self._device, _CPU_DTYPES if self._kind == "cpu" else _DTYPES)
        return memory_rates(self._device), products, absent

    def open_meeting(self) -> str:
        """On the first rank of a group: open its rendezvous and return the address."""
        from cluster.runtime.rendezvous import find_free_port

        host, port = find_free_port(self._address)
        return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"

    def all_reduce(
        self, meeting: str, rank: int, num_ranks: int, sizes: list[int], timeout_s: float
    ) -> list[float]:
        """Join a group, return the seconds of an all-reduce of each size in bytes, and leave the group."""
        import torch.distributed as dist

        from cluster.calibration.kernels import all_reduce_seconds
        from cluster.runtime.rendezvous import take_store

        on_gpu = self._kind == "cuda"
        self._use_own_interface()
        dist.init_process_group(
            "nccl" if on_gpu else "gloo",
            store=take_store(meeting, rank == 0, timeout_s),
            rank=rank,
            world_size=num_ranks,
            timeout=timedelta(seconds=timeout_s),
            device_id=self._device if on_gpu else None,
        )
        try:
            return [all_reduce_seconds(self._device, size) for size in sizes]
        finally:
            with contextlib.suppress(RuntimeError):
                dist.destroy_process_group()

    def _use_own_interface(self) -> None:
        from cluster.deploy.network import interface_of

        interface = interface_of(self._address)
        if interface is not None:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
            os.environ.setdefault("NCCL_SOCKET_IFNAME", interface)
