"""Makes a Python environment that lacks some packages, as a cluster's nodes may."""

from __future__ import annotations

import sysconfig
import venv
from pathlib import Path

_HIDING = """
import importlib.machinery, sys

NAMES = {names!r}
PLAIN = importlib.machinery.PathFinder

class Hiding(PLAIN):
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        return None if fullname.partition(".")[0] in NAMES else PLAIN.find_spec(fullname, path, target)

    @classmethod
    def find_distributions(cls, *args, **kwargs):
        found = PLAIN.find_distributions(*args, **kwargs)
        return (one for one in found if one.metadata["Name"].replace("-", "_") not in NAMES)

sys.meta_path[:] = [Hiding if finder is PLAIN else finder for finder in sys.meta_path]
"""


def python_without(folder: Path, names: tuple[str, ...]) -> str:
    """Return the Python of a new environment in `folder`: ours without clusterview and these packages."""
    made = folder / f"without-{'-'.join(names)}"
    python = made / "bin" / "python"
    if not python.exists():
        venv.create(made, with_pip=False, symlinks=True)
        packages = next((made / "lib").glob("python*/site-packages"))
        (packages / "hiding.py").write_text(_HIDING.format(names=names))
        # A plain line adds a folder without reading its .pth files: an editable install of ours is not found.
        (packages / "hiding.pth").write_text(f"import hiding\n{sysconfig.get_path('purelib')}\n")
    return str(python)
