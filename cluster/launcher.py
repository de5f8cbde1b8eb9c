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
    """Say which file is not ours any more, found by a module of ours that is run from its file."""
    import runpy

    again = "Install clusterview again"
    try:
        damage = runpy.run_path(str(Path(__file__).with_name("cluster") / "installation.py"))["damage"]()
    except Exception:
        damage = None
    message, hint = damage or ("its packages cluster and tui are missing or were overwritten", again)
    return f"{message}. {hint}"


if __name__ == "__main__":
    sys.exit(main())
