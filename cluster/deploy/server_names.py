"""The servers of a deployment, one per node of a replica, by the numbers their logs go by. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.deploy.status import DeploymentStatus


@dataclass(frozen=True, slots=True)
class ServerName:
    """One node of one replica."""

    replica: int
    member: int
    """Number of the node within the replica, in the order of its ranks; 0 is the leader."""
    node_name: str
    ranks: tuple[int, ...]
    """Numbers of its ranks within the replica."""

    @property
    def text(self) -> str:
        """How it is shown: 'R0 gpu-a'."""
        return f"R{self.replica} {self.node_name}"


def servers_of(status: DeploymentStatus) -> tuple[ServerName, ...]:
    """Return the servers of all replicas in order; none while the controller has not answered."""
    found: dict[tuple[int, str], ServerName] = {}
    for replica in sorted({rank.replica for rank in status.ranks}):
        own = sorted(
            (rank for rank in status.ranks if rank.replica == replica),
            key=lambda rank: (rank.stage, rank.rank),
        )
        nodes = list(dict.fromkeys(rank.node_id for rank in own))
        for member, node_id in enumerate(nodes):
            numbers = tuple(number for number, rank in enumerate(own) if rank.node_id == node_id)
            found[replica, node_id] = ServerName(replica, member, own[numbers[0]].node_name, numbers)
    return tuple(found.values())
