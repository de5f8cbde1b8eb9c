"""What each GPU does in a layout: in the highlighted one, and in those that run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cluster.deploy.status import DeploymentStatus
from cluster.planner.result import Candidate
from tui.format import role_name


@dataclass(frozen=True, slots=True)
class Role:
    """A GPU's role in a layout."""

    name: str
    replica: int
    live: bool
    """True: it runs there now. False: the highlighted layout would put it there."""
    planned_bytes: int = 0


class PlannedRoles(Mapping[str, Role]):
    """GPU uuid to its role in a planned layout; each role is made when it is asked for.

    A layout on ten thousand GPUs has as many roles, and the map shows a few hundred.
    """

    def __init__(self, candidate: Candidate) -> None:
        self._layout = candidate.layout
        self._memory = candidate.memory_by_stage or (
            (candidate.memory_per_gpu,) if candidate.memory_per_gpu else ()
        )
        self._places = {place.gpu_uuid: place for place in candidate.placement}
        self._made: dict[str, Role] = {}

    def __getitem__(self, gpu_uuid: str) -> Role:
        role = self._made.get(gpu_uuid)
        if role is None:
            role = self._made[gpu_uuid] = self._make(gpu_uuid)
        return role

    def _make(self, gpu_uuid: str) -> Role:
        place, layout, memory = self._places[gpu_uuid], self._layout, self._memory
        stage_memory = memory[min(place.stage, len(memory) - 1)] if memory else None
        return Role(
            name=role_name(place.replica, place.stage, place.rank, layout),
            replica=place.replica,
            live=False,
            planned_bytes=stage_memory.total_bytes if stage_memory else 0,
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def live_roles(deployments: tuple[DeploymentStatus, ...]) -> dict[str, Role]:
    """Map GPU uuid to its role in the deployment that runs there."""
    roles = {}
    for status in deployments:
        for rank in status.ranks:
            roles[rank.gpu_uuid] = Role(
                name=role_name(rank.replica, rank.stage, rank.rank, status.layout),
                replica=rank.replica,
                live=True,
                planned_bytes=status.planned_bytes_by_gpu.get(rank.gpu_uuid, 0),
            )
    return roles
