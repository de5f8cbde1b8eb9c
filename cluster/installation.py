"""Find files of an installed clusterview that another package has overwritten or taken along when it left.

Standard library only, without an import of `cluster`: the launcher runs this file by its path.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, distributions
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = ("cluster", "tui")


def damage() -> tuple[str, str] | None:
    """Return what is wrong with the installed files and what to do; None where they are as installed."""
    file = next(_changed(), None)
    if file is None:
        return None
    owner = _owner_of(file)
    if owner:
        return (
            f"{file} was overwritten by the Python package {owner}",
            f"Run: pip uninstall {owner}, then install clusterview again",
        )
    what = "was changed after clusterview was installed" if file.exists() else "is missing"
    return f"{file} {what}", "Install clusterview again"


def _changed() -> Iterator[Path]:
    """Yield our files whose content is not the one that was installed. A clone has no record of its files."""
    try:
        files = distribution("clusterview").files or ()
    except PackageNotFoundError:
        return
    for entry in files:
        file = Path(str(entry.locate()))
        if entry.hash is None or entry.parts[0] not in _PACKAGES or file != _ROOT / entry:
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


def _owner_of(file: Path) -> str:
    """Return the name of another installed distribution that a file belongs to, '' when there is none."""
    for one in distributions():
        name = one.metadata["Name"] or ""
        if name != "clusterview" and any(Path(str(one.locate_file(f))) == file for f in one.files or ()):
            return name
    return ""
