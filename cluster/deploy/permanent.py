"""Which failures of a rank a restart cannot fix, and a failure as one line with its node. Pure."""

from __future__ import annotations

import sys

from cluster.errors import BadInput, ClusterviewError
from cluster.packages import install_command

_KINDS = (BadInput, ImportError, FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError)
_WORDS = ("not compiled with cuda", "no kernel image is available", "no nvidia driver")
"""Parts of torch's generic errors for a build that does not match the machine."""


def is_permanent(error: BaseException) -> bool:
    """True if the error, or one that caused it, would occur again at the next start."""
    seen: set[int] = set()
    now: BaseException | None = error
    while now is not None and id(now) not in seen:
        seen.add(id(now))
        if isinstance(now, _KINDS) or any(words in str(now).lower() for words in _WORDS):
            return True
        now = now.__cause__
    return False


def describe_with_node(error: BaseException, node_name: str) -> str:
    """Return an error as one line; where the node's Python is the cause, name both and how to fix it."""
    if isinstance(error, ClusterviewError):
        return error.one_line()
    first_line = (str(error).strip().splitlines() or [""])[0]
    line = f"{type(error).__name__}: {first_line}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        return (
            f"{package} is missing from the Python of node {node_name} ({sys.executable}). "
            f"Run there: {install_command(sys.executable, [package])}"
        )
    if is_permanent(error):
        return f"{line} on node {node_name} ({sys.executable})"
    return line
