"""The engines of this machine, looked up once beside whatever else is read of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

from cluster.deploy.installed_engines import EngineAsked, Installed, installed_engines
from cluster.engines.adapter import adapter_names, load_adapter
from cluster.inventory import Node

LookUp = Callable[[Iterable[EngineAsked]], Installed]


class EngineLookup:
    """Asks in a thread, so that a slow interpreter delays no reading of the GPUs."""

    def __init__(self, pythons: Mapping[str, str], look_up: LookUp = installed_engines) -> None:
        """`pythons` maps engines to their interpreters; an engine left out is looked for in this one."""
        self._pythons, self._look_up = pythons, look_up
        self._found: Installed | None = None

    def start(self) -> None:
        threading.Thread(target=self._look, name="engines", daemon=True).start()

    def _look(self) -> None:
        try:
            self._found = self._look_up(engines_asked(self._pythons))
        except Exception as error:
            self._found = Installed(problem=f"the engines could not be looked up ({error!r})")

    def added_to(self, node: Node) -> Node:
        """Return the node with its engines, or as it is while they are being looked up."""
        found = self._found
        if found is None:
            return node
        return node.model_copy(update={"engines": found.versions, "engines_error": found.problem or None})


def engines_asked(pythons: Mapping[str, str]) -> tuple[EngineAsked, ...]:
    """Return what to look for: every engine that can be started as a process."""
    return tuple(
        EngineAsked(name, load_adapter(name).distributions, pythons.get(name)) for name in adapter_names()
    )
