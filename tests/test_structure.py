"""Rules of the code that a reader should be able to rely on."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from cluster.catalog.gpus import all_gpu_types
from cluster.catalog.models import catalogue_names

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(path for top in ("tui", "cluster") for path in (ROOT / top).rglob("*.py"))
LONGEST_FILE = 300

# Defaults that a user sees are names by nature; each is one constant in one place.
NAMES_ALLOWED = {"cluster/cli/resolve.py", "cluster/cluster_spec.py", "cluster/cli/arguments.py"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


def code_strings(path: Path) -> list[str]:
    """String constants of a file that are not docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told
    ]


def forbidden_names() -> re.Pattern[str]:
    models = {name.rpartition("/")[2] for name in catalogue_names()}
    gpus = {kind for kind in all_gpu_types() if len(kind) > 2}
    words = sorted(models | gpus, key=len, reverse=True)
    return re.compile(rf"\b({'|'.join(map(re.escape, words))})\b", re.IGNORECASE)


def test_no_model_and_no_gpu_is_named_in_code() -> None:
    """Capabilities are data in cluster/catalog; code that names a product knows too much."""
    forbidden = forbidden_names()
    found = {
        f"{name_of(path)}: {match[0]}"
        for path in SOURCES
        if name_of(path) not in NAMES_ALLOWED
        for text in code_strings(path)
        for match in forbidden.finditer(text)
    }
    assert not found
