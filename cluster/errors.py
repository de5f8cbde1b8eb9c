"""Errors that a user sees: each says what to do next and has the exit status of its kind."""

from __future__ import annotations

import errno


class ClusterviewError(Exception):
    """A failure reported in one line: what and where (`message`), how to fix it (`hint`)."""

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
    """A model, GPU or engine that is not in the catalog; the hint has the most similar names."""


class Unreachable(ClusterviewError):
    """A cluster, node or deployment did not answer."""


class ClusterGone(Unreachable):
    """An embedded cluster is no longer running, so nothing runs on it."""


class NothingFits(ClusterviewError):
    """No layout fits, so there is nothing to carry on with."""

    exit_status = 1


class DeployFailed(ClusterviewError):
    """A deployment could not be started or ended in failure."""

    exit_status = 1


class SystemFailed(ClusterviewError):
    """The operating system refused something: disk space, a permission, open files, processes, a stream."""

    exit_status = 3


_HINTS = {
    errno.ENOSPC: "Free some space there",
    errno.EDQUOT: "Your disk quota there is used up",
    errno.EMFILE: "Raise the limit on open files: ulimit -n 4096",
    errno.ENFILE: "The machine has too many open files",
    errno.EAGAIN: "The limit on processes is reached: see ulimit -u",
    errno.ENOMEM: "The machine is out of memory",
    errno.EACCES: "Check the permissions",
    errno.EPERM: "Check the permissions",
    errno.EROFS: "The filesystem is read-only",
}
# Errors in the name that was given, not of the machine.
_NAME_IS_WRONG = frozenset(
    {errno.EEXIST, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP}
)


def refused(what: str, error: OSError, hint: str = "") -> ClusterviewError:
    """Return the error for a file the user named: BadInput if the name is wrong, else SystemFailed.

    `what` says what failed, such as 'cannot write cluster.json'.
    """
    if error.errno in _NAME_IS_WRONG:
        return BadInput(f"{what}: {_reason(error)}", hint)
    return system_failed(what, error, hint)


def system_failed(what: str, error: OSError, hint: str = "") -> SystemFailed:
    """Return the error for something the operating system refused, with what usually helps."""
    return SystemFailed(f"{what}: {_reason(error)}", hint or _HINTS.get(error.errno or 0, ""))


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
