"""What an import pulls in, seen in a fresh process, and that no modules import one another in a circle."""

from __future__ import annotations

import subprocess
import sys
from graphlib import TopologicalSorter

import grimp
import pytest

HEAVY = ("ray", "textual", "torch", "httpx", "starlette", "uvicorn", "numpy", "transformers", "pynvml")

DRY_RUN = """
import contextlib, io, sys
from tui.__main__ import main
with contextlib.redirect_stdout(io.StringIO()) as out:
    status = main(["--dry-run", "--model", "llama-3.1-70b", "--cluster", "2x4xA100-80GB", {more}])
assert status == 0 and "TP=4, DP=2" in out.getvalue()
"""


def loaded_by(program: str) -> set[str]:
    """Return the top-level modules in memory after a program ran by itself."""
    tail = "\nimport sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", program + tail], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("more", ["", "'--json'"])
def test_a_dry_run_imports_nothing_heavy(more: str) -> None:
    assert not loaded_by(DRY_RUN.format(more=more)) & set(HEAVY)


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("tui.__main__", {*HEAVY, "pydantic", "argparse"}),
        ("cluster.planner.plan", set(HEAVY)),
        ("cluster.cli.main", {*HEAVY, "email"}),
        ("cluster.deploy.spec", set(HEAVY)),
        ("cluster.bridge.session", set(HEAVY)),
    ],
)
def test_importing_stays_light(module: str, forbidden: set[str]) -> None:
    assert not loaded_by(f"import {module}") & forbidden


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports for type checking and inside functions count too: they couple modules just the same."""
    graph = grimp.build_graph("tui", "cluster")
    imported_by = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert "tui.screens.main" in imported_by["tui.app"]
    list(TopologicalSorter(imported_by).static_order())  # raises CycleError, which names the circle
