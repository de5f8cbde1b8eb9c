"""Calibrate a Ray cluster: ordinary actors on free GPUs, which end with this process at the latest."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cluster.bridge.driver.preflight import last_line
from cluster.calibration.groups import free_spots
from cluster.calibration.measure import Call, WorkerFailed, measure
from cluster.calibration.rank import CalibrationRank
from cluster.calibration.result import Calibration, Spot
from cluster.deploy.assigned_gpus import assigned_gpu_indices
from cluster.errors import DeployFailed
from cluster.inventory import Cluster

_PLACED_S = 60.0
_READY_S = 90.0


class CalibrationActor(CalibrationRank):
    """A rank in the process that Ray put on a GPU."""

    def __init__(self, device: str) -> None:
        import ray

        super().__init__(device, ray.util.get_node_ip_address())
        self._gpu_indices = assigned_gpu_indices()

    def where(self) -> int:
        """Return the index of this process's GPU on its node."""
        return self._gpu_indices[0]


class RayWorkers:
    """Actors on GPUs of Ray's choice, each matched with its place in the inventory. Use in a `with` block."""

    def __init__(self, ray: Any, spots: Sequence[Spot], device: str) -> None:
        self._ray, self._wanted, self._device = ray, spots, device
        self._actors: list[Any] = []
        self.spots: list[Spot] = []
        self.skipped: list[str] = []

    def __enter__(self) -> RayWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        for actor in self._actors:
            self._end(actor)

    def start(self) -> None:
        """Start an actor for each wanted GPU; what Ray or another process took meanwhile is left out.

        Raises DeployFailed where no actor came up, or where one lacks torch.
        """
        opened = [(spot.node_id, self._open(spot.node_id)) for spot in self._wanted]
        by_place = {(spot.node_id, spot.gpu_index): spot for spot in self._wanted}
        until_s = time.monotonic() + _PLACED_S
        for node_id, actor in opened:
            index = self._index_of(actor, until_s)
            spot = by_place.pop((node_id, index), None) if index is not None else None
            if spot is None:
                self._end(actor)
            else:
                self._actors.append(actor)
                self.spots.append(spot)
        self.skipped = [
            f"{spot.node_name} GPU {spot.gpu_index}: Ray did not give it within {_PLACED_S:.0f} s"
            for spot in by_place.values()
        ]
        if not self.spots:
            raise DeployFailed("Ray gave no free GPU for the calibration", "; ".join(self.skipped[:4]))
        self._prepare()

    def _open(self, node_id: str) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        actor = self._ray.remote(CalibrationActor).options(
            num_cpus=0,
            num_gpus=1,
            max_restarts=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False),
        )
        return actor.remote(self._device)

    def _index_of(self, actor: Any, until_s: float) -> int | None:
        try:
            return int(self._ray.get(actor.where.remote(), timeout=max(0.1, until_s - time.monotonic())))
        except Exception:
            return None

    def _prepare(self) -> None:
        problems = self.ask(dict.fromkeys(range(len(self.spots)), ("prepare", ())), _READY_S)
        lines = {f"node {self.spots[number].node_name}: {text}" for number, text in problems.items() if text}
        if lines:
            raise DeployFailed("; ".join(sorted(lines)))

    def ask(self, calls: Mapping[int, Call], deadline_s: float) -> dict[int, Any]:
        """As in Workers."""
        refs = {
            number: getattr(self._actors[number], name).remote(*arguments)
            for number, (name, arguments) in calls.items()
        }
        until_s = time.monotonic() + deadline_s
        return {number: self._answer(number, ref, until_s, deadline_s) for number, ref in refs.items()}

    def _answer(self, number: int, ref: Any, until_s: float, deadline_s: float) -> Any:
        spot = self.spots[number]
        named = f"{spot.node_name} GPU {spot.gpu_index}"
        try:
            return self._ray.get(ref, timeout=max(0.0, until_s - time.monotonic()))
        except self._ray.exceptions.GetTimeoutError:
            self._end(self._actors[number])
            raise WorkerFailed(f"{named} did not answer within {deadline_s:.0f} s") from None
        except Exception as error:
            raise WorkerFailed(f"{named}: {last_line(error)}") from None

    def _end(self, actor: Any) -> None:
        with contextlib.suppress(Exception):
            self._ray.kill(actor, no_restart=True)


def calibrate(ray: Any, cluster: Cluster, title: str, progress: Callable[[str], None]) -> Calibration:
    """Measure the free GPUs of a Ray cluster; raises DeployFailed where none is free or can be used."""
    spots, skipped = free_spots(cluster)
    if not spots:
        raise DeployFailed(f"no free GPU on {title}", "; ".join(skipped[:4]))
    progress(f"starting a process on each of {len(spots)} free GPUs")
    on_gpu = not cluster.simulated
    with RayWorkers(ray, spots, "cuda" if on_gpu else "cpu") as workers:
        workers.start()
        skipped += workers.skipped
        return measure(workers, workers.spots, on_gpu=on_gpu, title=title, skipped=skipped, progress=progress)
