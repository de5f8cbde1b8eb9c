"""The command of every server of an order, as a person would type it on its node. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from cluster.deploy.order.server import replica_members
from cluster.deploy.spec import DeploymentSpec
from cluster.engines.adapter import load_adapter
from cluster.engines.launch import Command
from cluster.text import clean

_LONGEST_TEXT = 20_000
_HTTP_PORT, _MASTER_PORT = 8000, 29500
_PORTS_APART = 16
"""Between the meeting ports of replicas: an engine may take the next few, too."""


@dataclass(frozen=True, slots=True)
class ServerCommand:
    """What starts one server: one member of one replica."""

    replica: int
    member: int
    node_name: str
    command: Command

    @property
    def text(self) -> str:
        """The command as a shell takes it, with its variables before it; cleaned, so that it can be shown."""
        env = [f"{name}={shlex.quote(value)}" for name, value in self.command.env.items()]
        return clean(" ".join([*env, shlex.join(self.command.argv)]), _LONGEST_TEXT)


def server_commands(spec: DeploymentSpec, addresses: Mapping[str, str]) -> tuple[ServerCommand, ...]:
    """Return the commands of an order, by replica and member; () for the built-in engine.

    `addresses` maps node ids to addresses; a node without one stands there by its name. Ports are examples: a
    deployment takes free ones of each node when it starts.
    """
    if spec.server is None:
        return ()
    adapter, launch = load_adapter(spec.engine.name), spec.server.launch
    found = []
    for replica, members in enumerate(replica_members([place.placement for place in spec.ranks], launch)):
        leader = members[0][1]
        for member, place in members:
            placed = member.model_copy(
                update={
                    "address": addresses.get(place.node, place.node_name),
                    "http_port": _HTTP_PORT + replica,
                    "master_address": addresses.get(leader.node, leader.node_name),
                    "master_port": _MASTER_PORT + _PORTS_APART * replica,
                }
            )
            command = adapter.printed_command(launch, placed, spec.engine.version)
            found.append(ServerCommand(replica, member.number, place.node_name, command))
    return tuple(found)
