"""Which engine runs a deployment, and which one its layout was planned for: one value from plan to status."""

from __future__ import annotations

from cluster.frozen import FromAnyVersion
from cluster.text import CleanStr


class EngineInUse(FromAnyVersion):
    """The engine that the ranks run, and the one whose rules and overheads the layout was planned with."""

    name: CleanStr
    """Of the engine that runs."""
    version: CleanStr
    planned_for: CleanStr
    """Name and version of the engine that was planned for: 'vllm 0.14.0'."""

    @property
    def runs(self) -> str:
        """Name and version of the engine that runs: 'builtin 0.1.0'."""
        return f"{self.name} {self.version}".rstrip()

    @property
    def is_as_planned(self) -> bool:
        """The engine that runs is the one that was planned for."""
        return self.planned_for in ("", self.runs)

    @property
    def text(self) -> str:
        """One line for every place that shows it: 'builtin 0.1.0, planned for vllm 0.14.0'."""
        return self.runs if self.is_as_planned else f"{self.runs}, planned for {self.planned_for}"
