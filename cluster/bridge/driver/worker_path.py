"""Where Ray's workers look for modules: first of all in the directory from which the driver joined."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

_FILE_VARIABLES = ("RAY_AUTH_TOKEN_PATH", "RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_CA_CERT")
"""Variables that name files, which Ray reads while a driver joins."""


@contextlib.contextmanager
def in_empty_directory() -> Iterator[None]:
    """Join a cluster from an empty directory: a folder `cluster` where the user is must not replace ours.

    Workers look for modules in the directory's path, where there is nothing. For a process's own start.
    """
    before = _current_directory()
    for name in _FILE_VARIABLES:
        if value := os.environ.get(name):
            os.environ[name] = str(before / value)
    with contextlib.ExitStack() as stack:
        try:
            empty = stack.enter_context(tempfile.TemporaryDirectory(prefix="clusterview-"))
        except OSError:
            # A full disk. Nobody keeps Python packages in the root directory.
            empty = "/"
        os.chdir(empty)
        stack.callback(_return_to, before)
        yield


def _current_directory() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path("/")


def _return_to(directory: Path) -> None:
    # It may have been removed meanwhile.
    with contextlib.suppress(OSError):
        os.chdir(directory)
