"""What is printed after the screen is left: what still runs, where, and how to stop it. Pure."""

from __future__ import annotations

import shlex

from cluster.deploy.status import DeploymentState, DeploymentStatus
from tui.open_orders import OpenOrders
from tui.store import Snapshot


def exit_lines(snapshot: Snapshot, orders: OpenOrders, place: tuple[str, ...] = ()) -> list[str]:
    """Return a line for each deployment; `place` holds the options with which `stop` finds the cluster."""
    lines = [_line(status, snapshot, orders, place) for status in snapshot.deployments]
    shown = {status.name for status in snapshot.deployments}
    lines += [
        f"{name} was submitted and may be starting. Stop it with: {stop_command(name, place)}"
        for name in orders.deploying
        if name not in shown
    ]
    return lines


def stop_command(name: str, place: tuple[str, ...]) -> str:
    """Return the command that stops a deployment, quoted for a shell."""
    return shlex.join(["clusterview", "stop", *place, name])


def _line(status: DeploymentStatus, snapshot: Snapshot, orders: OpenOrders, place: tuple[str, ...]) -> str:
    end = f"Stop it with: {stop_command(status.name, place)}"
    if snapshot.disconnected:
        return (
            f"{status.name} was {status.state} when the connection to its cluster was lost. "
            f"Check it with: {shlex.join(['clusterview', 'status', *place])}. {end}"
        )
    if status.name in orders.stopping or status.state is DeploymentState.STOPPING:
        return f"{status.name} is being stopped."
    if status.state is DeploymentState.FAILED:
        return f"{status.name} has failed{f': {status.reason}' if status.reason else ''}. {end}"
    if status.state is DeploymentState.STARTING:
        return f"{status.name} is still starting. {end}"
    return f"{status.name} is still running{f' at {status.endpoint}' if status.endpoint else ''}. {end}"
