"""Lines of an engine's log on their way from the node agent to a screen or a command."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from cluster.frozen import FromAnyVersion
from cluster.text import CleanStr, clean

LONGEST_LINE = 4000
LogLine = Annotated[str, AfterValidator(lambda text: clean(text, LONGEST_LINE))]


class LogPage(FromAnyVersion):
    """Consecutive lines of the server of one member (node) of a replica."""

    replica: int
    member: int = 0
    """Number of the node within the replica; 0 is the leader."""
    node_name: CleanStr = ""
    first: int = 0
    """Number of the first line of this page, counted from the start of the process."""
    lines: tuple[LogLine, ...] = ()
    start: int = 0
    """Counts the processes of this replica: another number means that it was restarted."""
    note: CleanStr = ""
    """Why there is no line, such as an engine that runs inside its ranks; empty otherwise."""

    @property
    def next(self) -> int:
        """Number of the line after this page: what to ask for next."""
        return self.first + len(self.lines)
