"""Write a file that the user named: afterwards it has the whole text, or is unchanged."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from cluster.errors import refused


def write_whole(path: Path, text: str, *, may_replace: bool = True) -> None:
    """Write UTF-8 text to a file, a device or a named pipe.

    Raises BadInput if the name cannot be written to or (without `may_replace`) a file has it already,
    SystemFailed if the disk or permissions refuse it.
    """
    try:
        if _is_stream(path):
            path.write_text(text, encoding="utf-8")
        elif may_replace:
            _replace(Path(os.path.realpath(path)), text.encode())
        else:
            _create(path, text.encode())
    except (OSError, ValueError) as error:
        # A name with a NUL byte is a ValueError.
        found = error if isinstance(error, OSError) else OSError(errno.EINVAL, str(error))
        raise refused(f"cannot write {path}", found) from None


def _is_stream(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _replace(target: Path, content: bytes) -> None:
    """Replace `target` with a finished file that keeps the mode and owner of the old one."""
    before = target.stat() if target.exists() else None
    if before is not None and stat.S_ISDIR(before.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if before is not None and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    with _draft(target, content, before) as draft:
        draft.replace(target)


def _create(target: Path, content: bytes) -> None:
    """Create `target` as a finished file; FileExistsError if there is one, even one made a moment ago."""
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    with _draft(target, content, None) as draft:
        publish(draft, target, may_replace=False)


def publish(draft: Path, target: Path, *, may_replace: bool) -> None:
    """Give a finished file its name, and only that; FileExistsError if another has it and must stay."""
    if may_replace:
        draft.replace(target)
        return
    try:
        target.hardlink_to(draft)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            raise
        # A filesystem without hard links: nothing there can be created whole and only if it is new.
        draft.replace(target)
    else:
        draft.unlink()


@contextlib.contextmanager
def _draft(target: Path, content: bytes, before: os.stat_result | None) -> Iterator[Path]:
    """Write a hidden file beside `target`, with the mode and owner of the old one; it is gone afterwards."""
    draft = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            if before is not None:
                with contextlib.suppress(OSError):
                    os.fchown(handle, before.st_uid, before.st_gid)
                os.fchmod(handle, stat.S_IMODE(before.st_mode))
            file.write(content)
            file.flush()
            # Some filesystems report only now that there is no space.
            os.fsync(handle)
        yield draft
    finally:
        draft.unlink(missing_ok=True)
