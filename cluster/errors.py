"""What can go wrong for a user, each with what to do next."""

from __future__ import annotations


class ClusterviewError(Exception):
    """A failure told in one line: what and where (`message`), how to mend it (`hint`)."""

    exit_status = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def one_line(self) -> str:
        """Return message and hint as a single line without line breaks."""
        text = f"{self.message}. {self.hint}" if self.hint else self.message
        return " ".join(text.split())


class BadInput(ClusterviewError):
    """Something the user typed or a file the user named cannot be used."""


class UnknownName(BadInput):
    """A model, GPU or engine that is not in the catalogue; the hint holds the nearest names."""


class Unreachable(ClusterviewError):
    """A cluster, node or deployment did not answer."""


class DeployFailed(ClusterviewError):
    """A deployment could not be started or ended in failure."""

    exit_status = 1
