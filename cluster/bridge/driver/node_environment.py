"""The environment in which a node's Ray was started."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from cluster.probe.visible import VARIABLE


def node_environment(own: Mapping[str, str] = os.environ, proc: Path = Path("/proc")) -> dict[str, str]:
    """Return this actor's environment with the node's CUDA_VISIBLE_DEVICES.

    Ray hides every GPU from an actor that holds none. What it was started with is in the environment of its
    raylet, the parent of its actors; where that cannot be read, nothing counts as hidden.
    """
    env = {name: value for name, value in own.items() if name != VARIABLE}
    parent = proc / str(os.getppid())
    try:
        if (parent / "comm").read_text().strip() != "raylet":
            return env
        variables = (parent / "environ").read_bytes().split(b"\0")
    except OSError:
        return env
    for name, _, value in (variable.partition(b"=") for variable in variables):
        if name == VARIABLE.encode():
            env[VARIABLE] = os.fsdecode(value)
    return env
