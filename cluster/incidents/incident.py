"""One thing that happened on a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["node", "gpu", "health", "xid", "throttle", "nvlink", "deployment", "connection"]

Severity = Literal["good", "info", "warning", "bad"]
"""Good: something is over. Info: a change that nobody needs to act on."""


@dataclass(frozen=True, slots=True)
class Incident:
    """What happened, when and where. The strings come from cleaned values."""

    at_s: float
    """Unix time at which it began, as far as is known."""
    kind: Kind
    severity: Severity
    where: str
    """A node, a GPU ('node-1 GPU 3'), or a deployment; for several alike how many they are."""
    what: str
    """The same words for all alike: 'throttling begins'."""
    evidence: str = ""
    """Figures and reasons, which may differ from GPU to GPU."""
    node_id: str | None = None
    gpu_uuid: str | None = None
    code: str = ""
    """What tells alike words apart: the code of a finding, the number of an Xid."""
    at_start: bool = False
    """It was so already when the first reading came."""

    @property
    def text(self) -> str:
        """What happened, with its evidence."""
        return f"{self.what}: {self.evidence}" if self.evidence else self.what
