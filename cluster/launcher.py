"""Start clusterview from its own packages, whatever else on the path is called `tui` or `cluster`.

The wheel installs this file as the module `clusterview`, where the command starts. Python imports the first
package of a name on its path, so a folder `cluster` on PYTHONPATH would come before ours. Imports only the
standard library: whether `cluster` is ours is what is checked here.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

_PACKAGES = ("cluster", "tui")
_MARK = 'DISTRIBUTION = "clusterview"'
_SYSTEM_FAILED = 3


def main() -> int:
    """Run `clusterview` with the process's arguments; returns the exit status."""
    home = _home()
    if home is None:
        sys.stderr.write(f"clusterview: {_what_is_wrong()}\n")
        return _SYSTEM_FAILED
    _import_from(home)
    return int(importlib.import_module("tui.__main__").main())


def _home() -> Path | None:
    """Return the folder that holds our packages: beside this module, or an editable clone."""
    folders = [Path(__file__).resolve().parent, *map(Path, sys.path)]
    return next((folder for folder in folders if all(_is_ours(folder / name) for name in _PACKAGES)), None)


def _is_ours(package: Path) -> bool:
    try:
        return _MARK in (package / "__init__.py").read_text("utf-8", "replace")
    except OSError:
        return False


def _import_from(home: Path) -> None:
    """Import both packages from `home`; their modules then come from there, whatever the path says."""
    sys.path.insert(0, str(home))
    try:
        for name in _PACKAGES:
            sys.modules.pop(name, None)
            importlib.import_module(name)
    finally:
        # Not left in front: what else is installed there must not hide the standard library.
        sys.path.remove(str(home))


def _what_is_wrong() -> str:
    here = Path(__file__).resolve().parent
    package = next((here / name for name in _PACKAGES if not _is_ours(here / name)), here)
    owner = owner_of(package / "__init__.py")
    if owner:
        return (
            f"{package} was overwritten by the Python package {owner}. Run: pip uninstall {owner}, "
            "then install clusterview again"
        )
    state = "was overwritten by another package" if (package / "__init__.py").exists() else "is missing"
    return f"{package} {state}. Install clusterview again"


def owner_of(file: Path) -> str:
    """Return the name of another installed distribution that `file` belongs to, '' when there is none."""
    from importlib.metadata import distributions

    for distribution in distributions():
        name = distribution.metadata["Name"] or ""
        if name != "clusterview" and any(
            Path(str(distribution.locate_file(entry))) == file for entry in distribution.files or ()
        ):
            return name
    return ""
