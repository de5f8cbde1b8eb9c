"""One thing that happened."""

from __future__ import annotations

from typing import Literal

from cluster.frozen import FrozenModel
from cluster.text import CleanStr

IncidentKind = Literal["node", "gpu", "xid", "throttle", "link", "memory", "process", "deployment"]
Severity = Literal["info", "warning", "error"]


class Incident(FrozenModel):
    """Something that began, and may have ended: a node was lost, a GPU throttles, a deployment failed."""

    kind: IncidentKind
    severity: Severity
    at_s: float
    """Unix time at which it began."""
    text: CleanStr
    node: CleanStr | None = None
    gpu_index: int | None = None
    deployment: CleanStr | None = None
    ended_at_s: float | None = None
    """None: it goes on, or is of one moment."""
    of_one_moment: bool = False
    """An Xid, for example: it began and ended at once."""
