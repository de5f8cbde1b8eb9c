"""The commands of a layout's servers, as the engine's adapter prints them."""

from __future__ import annotations

import shlex

from cluster.engines.adapter import load_adapter
from cluster.engines.launch import Command, Member
from cluster.errors import BadInput
from cluster.export.target import ExportTarget, Replica

ALL_INTERFACES = "0.0.0.0"
HTTP_PORT = 8000
_MEETING_PORT = 29500
_PORTS_PER_MEETING = 10
"""Engines that need more ports than one take the next ones."""


def server_command(target: ExportTarget, member: Member) -> Command:
    """Return the command that starts a member, without variables that name no real address.

    Raises BadInput for what this version of the engine cannot run.
    """
    engine, version = load_adapter(target.plan.engine_name), target.plan.engine_version
    refusal = engine.refusal(target.launch, (member,), version)
    if refusal:
        raise BadInput(f"{target.candidate.label}: {refusal}")
    command = engine.printed_command(target.launch, member, version)
    env = {name: value for name, value in command.env.items() if value != ALL_INTERFACES}
    return Command(command.argv, env)


def placed_members(replica: Replica, slot: int) -> tuple[Member, ...]:
    """Return a replica's members with addresses and ports; `slot` tells apart the servers of one node.

    A node whose address is not known goes by its name, and its server listens on all interfaces.
    """
    leader = replica.nodes[0]
    return tuple(
        member.model_copy(
            update={
                "address": node.address or ALL_INTERFACES,
                "http_port": HTTP_PORT + slot,
                "master_address": leader.address or leader.name,
                "master_port": _MEETING_PORT + slot * _PORTS_PER_MEETING,
            }
        )
        for member, node in zip(replica.members, replica.nodes, strict=True)
    )


def shell_line(command: Command) -> str:
    """Return a command as one line for a POSIX shell."""
    variables = [f"{name}={shlex.quote(value)}" for name, value in command.env.items()]
    return " ".join([*variables, shlex.join(command.argv)])
