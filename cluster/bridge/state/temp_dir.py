"""The temporary folder of an embedded cluster: created here with a mark, removed only if it has the mark."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

from cluster.bridge.state.folder import create_marked, read_marked

TEMP_PREFIX = "cv-"
TEMP_DIR_VARIABLE = "RAY_TMPDIR"
_MARK_NAME = "clusterview"
_MARK = b"clusterview temporary folder 1\n"


def new_temp_dir() -> str:
    """Return a new private folder; short, because Ray puts Unix sockets deep inside it. Raises OSError."""
    folder = tempfile.mkdtemp(prefix=TEMP_PREFIX, dir="/tmp" if Path("/tmp").is_dir() else None)
    try:
        os.close(create_marked(Path(folder) / _MARK_NAME, _MARK))
    except OSError:
        Path(folder).rmdir()
        raise
    return folder


def is_our_temp_dir(folder: Path) -> bool:
    """True for a folder that `new_temp_dir` of this user made."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return (
        ours and folder.name.startswith(TEMP_PREFIX) and read_marked(folder / _MARK_NAME, _MARK) is not None
    )


def remove_temp_dir(folder: Path) -> None:
    """Remove such a folder with all that is in it; anything else is left alone."""
    if not is_our_temp_dir(folder):
        return
    with contextlib.suppress(OSError):
        # The mark is removed last, so that the next cleanup can continue an interrupted one.
        for entry in sorted(folder.iterdir(), key=lambda path: path.name == _MARK_NAME):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
        folder.rmdir()
