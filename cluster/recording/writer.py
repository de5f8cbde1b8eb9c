"""Writes a recording while it is made: what was written can be played, whenever the writer ends."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType

from cluster.errors import ClusterviewError, refused, system_failed
from cluster.json_file import shown
from cluster.recording.blocks import pack
from cluster.recording.frames import header_line, key_frame, next_frame
from cluster.recording.state import State
from cluster.whole_file import publish

BLOCK_S = 5.0
"""At most this much is lost when the machine dies."""
KEY_S = 60.0
"""How often a block starts anew, so that playing can begin there."""
_MOST_PENDING_BYTES = 32 * 1024 * 1024


class RecordingWriter:
    """Adds states to a file. The name is taken with the first block; an older file of that name stays
    until then, and without `may_replace` for ever.

    Raises BadInput for a name that cannot be used, SystemFailed where disk or permissions refuse.
    """

    def __init__(self, path: Path, title: str, *, may_replace: bool = False) -> None:
        self._path, self._may_replace = path, may_replace
        self.num_frames = self.num_bytes = 0
        self.first_at_s: float | None = None
        self.last_at_s = 0.0
        self._last: State | None = None
        self._lines: list[bytes] = [header_line(title, _own_version())]
        self._began_s: float | None = None
        self._is_key = True
        self._key_at_s = 0.0
        self._draft: Path | None = None
        try:
            self._file = self._open_draft()
        except (OSError, ValueError) as error:
            # A name with a NUL byte is a ValueError.
            found = error if isinstance(error, OSError) else OSError(errno.EINVAL, str(error))
            raise self._refused(found) from None

    def _open_draft(self) -> int:
        if not self._may_replace and os.path.lexists(self._path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        if self._path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        draft = self._path.with_name(f".{self._path.name[:100]}.{secrets.token_hex(4)}")
        # Only for its owner: it holds users and command lines.
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._draft = draft
        return file

    def __enter__(self) -> RecordingWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not isinstance(error, ClusterviewError):
                self._write_block()
        finally:
            os.close(self._file)
            if self._draft is not None:
                self._draft.unlink(missing_ok=True)

    def add(self, at_s: float, state: State) -> None:
        """Add the state of Unix time `at_s`. Times that go back, after a clock was set, count as no time."""
        at_s = max(round(at_s, 3), self.last_at_s)
        starts_anew = self._last is None or (self._began_s is None and at_s - self._key_at_s >= KEY_S)
        if starts_anew or self._last is None:
            self._lines.append(key_frame(at_s, state))
            self._is_key, self._key_at_s = True, at_s
        else:
            self._lines.append(next_frame(at_s, self._last, state))
        self._began_s = at_s if self._began_s is None else self._began_s
        self.first_at_s = at_s if self.first_at_s is None else self.first_at_s
        self._last, self.last_at_s = state, at_s
        self.num_frames += 1
        if at_s - self._began_s >= BLOCK_S or sum(map(len, self._lines)) > _MOST_PENDING_BYTES:
            self._write_block()

    def _write_block(self) -> None:
        if self._began_s is None:
            return
        block = pack(b"".join(self._lines), self._began_s, self.last_at_s, is_key=self._is_key)
        self._append(block)
        self._publish()
        self._lines, self._began_s, self._is_key = [], None, False

    def _append(self, block: bytes) -> None:
        """Write a whole block or, where the disk is full, none of it."""
        try:
            rest = memoryview(block)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.num_bytes)
            self._began_s = None
            raise system_failed(f"cannot write {shown(self._path)}", error) from None
        self.num_bytes += len(block)

    def _publish(self) -> None:
        """Give the file its name, once there is something in it."""
        draft = self._draft
        if draft is None:
            return
        try:
            publish(draft, self._path, may_replace=self._may_replace)
        except OSError as error:
            raise self._refused(error) from None
        self._draft = None

    def _refused(self, error: OSError) -> ClusterviewError:
        exists = isinstance(error, FileExistsError)
        hint = "Choose another name, or replace the file with --force" if exists else ""
        return refused(f"cannot write {shown(self._path)}", error, hint)


def _own_version() -> str:
    try:
        return version("clusterview")
    except PackageNotFoundError:
        return "unknown"
