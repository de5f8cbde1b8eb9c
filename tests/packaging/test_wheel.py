"""The wheel: what is in it, what it says of itself, and that whatever the code imports is declared."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.installed import ROOT, build_wheel

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
# Import name -> name on the package index, where they differ by more than dashes.
DISTRIBUTIONS = {"re2": "google_re2", "pynvml": "nvidia_ml_py", "yaml": "pyyaml"}
IN_A_STRING = {"pynvml", "jinja2", "psutil"}
"""Imported through importlib."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipfile.ZipFile(build_wheel(tmp_path_factory.mktemp("wheel")))


def test_it_holds_both_packages_whole_and_the_launcher(wheel: zipfile.ZipFile) -> None:
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    ours = {
        path.relative_to(ROOT).as_posix()
        for top in ("tui", "cluster")
        for path in (ROOT / top).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    # The launcher is installed under a name that nothing else has.
    assert names == {*ours, "clusterview.py"} - {"cluster/launcher.py"}
    assert {Path(name).suffix for name in names} == {".py", ".toml", ".json", ".tcss"}


def test_nothing_for_developers_is_in_it(wheel: zipfile.ZipFile) -> None:
    assert not [name for name in wheel.namelist() if re.search(r"(^|/)tests?/|evidence|corpus|fuzz", name)]


def test_the_launcher_is_where_the_command_starts(wheel: zipfile.ZipFile) -> None:
    (entry_points,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "clusterview = clusterview:main" in wheel.read(entry_points).decode().splitlines()
    assert wheel.read("clusterview.py") == (ROOT / "cluster" / "launcher.py").read_bytes()


def imports_of(path: Path) -> Iterator[str]:
    """Yield the top-level packages that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def declared(requirements: list[str]) -> set[str]:
    names = (re.match(r"[A-Za-z0-9_.-]+", line) for line in requirements)
    return {name[0].lower().replace("-", "_") for name in names if name}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    imported = {
        package
        for top in ("tui", "cluster")
        for path in (ROOT / top).rglob("*.py")
        for package in imports_of(path)
    }
    third_party = (imported | IN_A_STRING) - sys.stdlib_module_names - {"tui", "cluster"}
    extras = PROJECT["optional-dependencies"]
    needed = declared([*PROJECT["dependencies"], *extras["torch"], *extras["hub"]])
    # torch and safetensors hand tensors to numpy without declaring it.
    assert {DISTRIBUTIONS.get(name, name) for name in third_party} == needed - {"numpy"}


def test_what_needs_no_gpu_and_no_hub_comes_without_an_extra() -> None:
    """One command installs all but the built-in engine's torch and the hub's client."""
    assert {"pydantic", "textual", "ray", "nvidia_ml_py"} <= declared(PROJECT["dependencies"])
