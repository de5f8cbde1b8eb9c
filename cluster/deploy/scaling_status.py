"""How the change of a deployment's number of replicas goes."""

from __future__ import annotations

from cluster.frozen import FromAnyVersion
from cluster.text import CleanStr


class ScalingStatus(FromAnyVersion):
    """The change under way, or the last one."""

    number: int = 0
    """Counts the changes of a deployment since its controller started."""
    before: int = 0
    """Replicas when it began."""
    replicas: int = 0
    """Replicas that it leads to."""
    is_over: bool = False
    failure: CleanStr = ""
    """Why new replicas did not start, once it is over; the others have gone on serving."""
    last_log: tuple[CleanStr, ...] = ()
    """The last lines that the server of a new replica wrote before it failed."""

    @property
    def failure_note(self) -> str:
        """A change that failed, in one line; empty while there is none to report."""
        if not self.is_over or not self.failure:
            return ""
        return f"scaling from {self.before} to {self.replicas} replicas failed: {self.failure}"
