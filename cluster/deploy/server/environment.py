"""The environment that a server starts in: the node's own, without what Ray and clusterview added. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

from cluster.deploy.server.guarded import MARK
from cluster.engines.launch import Command

_LEFT_OUT = (
    "RAY_",
    "CLUSTERVIEW_",
    # Ray sets it to 1 for an actor without CPUs, which makes loading weights many times slower.
    "OMP_NUM_THREADS",
    # Ray's choice of one GPU, while the server gets all those of its node.
    "CUDA_VISIBLE_DEVICES",
    # Of Ray's Python; the engine's may be another.
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONBREAKPOINT",
    "VIRTUAL_ENV",
)


def server_environment(
    inherited: Mapping[str, str], command: Command, cleans: tuple[str, ...], mark: str
) -> dict[str, str]:
    """Return the environment of a command; `cleans` are prefixes of variables not to be inherited."""
    left_out = (*_LEFT_OUT, *cleans)
    kept = {name: value for name, value in inherited.items() if not name.startswith(left_out)}
    # Engines start compilers and tools that are installed beside their interpreter.
    folder = str(PurePath(command.argv[0]).parent)
    path = ":".join(filter(None, [folder if folder != "." else "", kept.get("PATH", "")]))
    # setproctitle would overwrite the environment in /proc, and with it the mark.
    ours = {"PYTHONUNBUFFERED": "1", "SPT_NOENV": "1"}
    return {**kept, "PATH": path, **ours, **command.env, MARK: mark}
