"""The names by which actors and placement groups of ours are found on a cluster."""

from __future__ import annotations

CONTROLLER_PREFIX = "cv-controller/"
"""Controllers are named 'cv-controller/<deployment>'."""

GROUP_PREFIX = "cv/"
"""Placement groups are named 'cv/<deployment>/<node>/<random>'."""


def controller_name(deployment: str) -> str:
    """Return the actor name of a deployment's controller."""
    return CONTROLLER_PREFIX + deployment


def group_prefix(deployment: str) -> str:
    """Return what the names of a deployment's placement groups start with."""
    return f"{GROUP_PREFIX}{deployment}/"


def deployment_of_group(name: str) -> str | None:
    """Return the deployment that a placement group's name belongs to; None for a group that is not ours."""
    parts = name.removeprefix(GROUP_PREFIX).rsplit("/", 2)
    return parts[0] if name.startswith(GROUP_PREFIX) and len(parts) == 3 else None
