"""What the terminal says after the screen is left: what goes on, where, and how to end it. Pure."""

from __future__ import annotations

import shlex

from cluster.deploy.status import DeploymentState, DeploymentStatus
from tui.open_orders import OpenOrders
from tui.store import Snapshot


def exit_lines(snapshot: Snapshot, orders: OpenOrders, place: tuple[str, ...] = ()) -> list[str]:
    """Return a line for each deployment; `place` holds the options by which `stop` finds the cluster."""
    lines = [_line(status, snapshot, orders, place) for status in snapshot.deployments]
    shown = {status.name for status in snapshot.deployments}
    lines += [
        f"{name} was ordered and may be starting. To end it: {stop_command(name, place)}"
        for name in orders.deploying
        if name not in shown
    ]
    return lines


def stop_command(name: str, place: tuple[str, ...]) -> str:
    """Return the command that ends a deployment, as a shell takes it."""
    return shlex.join(["clusterview", "stop", *place, name])


def _line(status: DeploymentStatus, snapshot: Snapshot, orders: OpenOrders, place: tuple[str, ...]) -> str:
    end = f"To end it: {stop_command(status.name, place)}"
    if snapshot.disconnected:
        return (
            f"{status.name} was {status.state} when the connection to its cluster was lost. "
            f"To see whether it runs: {shlex.join(['clusterview', 'status', *place])}. {end}"
        )
    if status.name in orders.stopping or status.state is DeploymentState.STOPPING:
        return f"{status.name} is being stopped."
    if status.state is DeploymentState.FAILED:
        return f"{status.name} has failed{f': {status.reason}' if status.reason else ''}. {end}"
    if status.state is DeploymentState.STARTING:
        return f"{status.name} goes on starting. {end}"
    return f"{status.name} goes on{f' at {status.endpoint}' if status.endpoint else ''}. {end}"
