"""Find files of an installed clusterview that another package has overwritten since."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from cluster.errors import SystemFailed
from cluster.launcher import owner_of

_ROOT = Path(__file__).resolve().parents[2]


def replaced_files_error() -> SystemFailed | None:
    """Return the error that names such a file and the package that owns it now; None when there is none."""
    found = next(_replaced(), None)
    if found is None:
        return None
    owner = owner_of(found)
    if owner:
        return SystemFailed(
            f"{found} was overwritten by the Python package {owner}",
            f"Run: pip uninstall {owner}, then install clusterview again",
        )
    return SystemFailed(
        f"{found} was changed or removed after clusterview was installed", "Install clusterview again"
    )


def _replaced() -> Iterator[Path]:
    """Yield our files whose content is not the one that was installed. A clone has no record of its files."""
    try:
        files = distribution("clusterview").files or ()
    except PackageNotFoundError:
        return
    for entry in files:
        file = Path(str(entry.locate()))
        if entry.hash is None or entry.parts[0] not in ("cluster", "tui") or file != _ROOT / entry:
            continue
        if _digest(file, entry.hash.mode) != entry.hash.value:
            yield file


def _digest(file: Path, algorithm: str) -> str:
    """Return a file's digest as a RECORD writes it; '' for a file that cannot be read."""
    try:
        digest = hashlib.new(algorithm, file.read_bytes()).digest()
    except OSError:
        return ""
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
