"""clusterview installed from its wheel, into an environment that has nothing but pydantic."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYDANTIC = ("pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection")


def build_wheel(folder: Path) -> Path:
    """Build the wheel as pip does, without the network."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    return wheel


@dataclass(frozen=True)
class Installed:
    """An environment with clusterview in it."""

    folder: Path

    @property
    def packages(self) -> Path:
        """Its site-packages."""
        (found,) = (self.folder / "lib").glob("python*/site-packages")
        return found

    def run(
        self, *arguments: str, cwd: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the command `clusterview` of this environment."""
        ours = ("PATH", "HOME", "TMPDIR", "CLUSTERVIEW_STATE_DIR")
        kept = {name: value for name, value in os.environ.items() if name in ours}
        return subprocess.run(
            [str(self.folder / "bin" / "clusterview"), *arguments],
            env={**kept, "CLUSTERVIEW_STATE_DIR": str(self.folder / "state"), **environment},
            cwd=cwd or self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def install(wheel: Path, folder: Path) -> Installed:
    """Make an environment, install the wheel without its dependencies, and show it this Python's pydantic."""
    venv.create(folder, symlinks=True)
    installed = Installed(folder)
    python = str(folder / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "--quiet"]
    options = ["--no-deps", "--no-index", "--no-compile"]
    subprocess.run([*pip, "install", *options, str(wheel)], check=True, capture_output=True, timeout=120)
    for link, target in _files_of(PYDANTIC):
        (installed.packages / link).symlink_to(target)
    return installed


def _files_of(names: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    """Yield what lies at the top of site-packages of these distributions: (name, path)."""
    for name in names:
        found = distribution(name.replace("_", "-"))
        tops = {entry.parts[0] for entry in found.files or () if entry.parts[0] not in ("..", "__pycache__")}
        yield from ((top, Path(str(found.locate_file(top)))) for top in tops)
