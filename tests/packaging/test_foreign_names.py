"""Other packages named `tui` or `cluster`: in front of ours on the path, or written over ours."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.packaging.installed import Installed

PLAN = ("--dry-run", "--model", "llama-3.1-70b", "--cluster", "2x4xA100-80GB")
REFUSES = 'raise RuntimeError("a package of somebody else was imported")\n'


def foreign_packages(folder: Path) -> Path:
    """Write packages of both names that must not be imported."""
    for name in ("tui", "cluster"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(REFUSES)
        (folder / name / "__main__.py").write_text(REFUSES)
    return folder


@pytest.mark.parametrize("arguments", [PLAN, ("status",), ("doctor", "--cluster", "1xL4"), ("--version",)])
def test_packages_of_our_names_in_front_of_ours_do_not_matter(
    installed: Installed, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    folder = foreign_packages(tmp_path / "other")
    plain = installed.run(*arguments)
    done = installed.run(*arguments, cwd=folder, PYTHONPATH=f"{folder}:")
    assert (done.returncode, done.stderr) == (plain.returncode, "") and done.stdout == plain.stdout


def test_the_module_starts_it_too(installed: Installed, tmp_path: Path) -> None:
    command = [str(installed.folder / "bin" / "python"), "-m", "clusterview", "--version"]
    folder = foreign_packages(tmp_path / "other")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("clusterview ")


def test_the_app_says_that_textual_is_missing(installed: Installed, tmp_path: Path) -> None:
    terminal, side = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(foreign_packages(tmp_path / "other"))}
    command = [str(installed.folder / "bin" / "clusterview"), "--cluster", "1xL4"]
    process = subprocess.Popen(command, stdin=side, stdout=side, stderr=side, env=environment)
    assert process.wait(60) == 3
    said = os.read(terminal, 65536).decode()
    os.close(side)
    os.close(terminal)
    assert (
        said.startswith("clusterview: the Python package textual is not installed") and said.count("\n") == 1
    )


@contextmanager
def overwritten(installed: Installed, file: str, text: str | None, owner: str = "") -> Iterator[None]:
    """Let another distribution have written `file` (None: removed it), and put ours back at the end."""
    path = installed.packages / file
    before = path.read_bytes()
    info = installed.packages / f"{owner}-1.0.dist-info"
    try:
        path.unlink()
        if text is not None:
            path.write_text(text)
        if owner:
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {owner}\nVersion: 1.0\n")
            (info / "RECORD").write_text(f"{file},,\n{info.name}/METADATA,,\n{info.name}/RECORD,,\n")
        yield
    finally:
        path.write_bytes(before)
        for entry in info.glob("*") if owner else ():
            entry.unlink()
        if owner:
            info.rmdir()


@pytest.mark.parametrize(
    ("file", "text", "owner"),
    [
        ("cluster/__init__.py", "from .matrix import Matrix\n", "someones-cluster"),
        ("tui/__init__.py", "", ""),
        ("cluster/text.py", "def wrap(text): return text\n", "someones-cluster"),
        ("cluster/units.py", "this is not Python", ""),
        ("cluster/cli/arguments.py", "import argparse\n", "someones-cluster"),
        ("cluster/planner/plan.py", "def plan(): return 1\n", "someones-cluster"),
        ("cluster/catalog/engines/vllm.toml", "name = 'other'\n", "someones-cluster"),
    ],
)
def test_a_file_of_ours_that_another_package_overwrote_is_named(
    installed: Installed, file: str, text: str, owner: str
) -> None:
    with overwritten(installed, file, text, owner):
        done = installed.run(*PLAN)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1), done.stderr
    assert done.stderr.startswith(f"clusterview: {installed.packages / file} was "), done.stderr
    assert (owner or "Install clusterview again") in done.stderr


def test_a_package_that_went_with_another_one_is_named(installed: Installed) -> None:
    """pip uninstall of a package that had overwritten our file takes the file along."""
    with overwritten(installed, "cluster/__init__.py", None):
        done = installed.run(*PLAN)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert f"{installed.packages / 'cluster' / '__init__.py'} is missing" in done.stderr
