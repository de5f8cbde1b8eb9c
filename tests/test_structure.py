"""Rules of the code that a reader should be able to rely on."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from cluster.catalog.gpus import all_gpu_types
from cluster.catalog.models import model_names

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(path for top in ("tui", "cluster") for path in (ROOT / top).rglob("*.py"))
LONGEST_FILE = 300

# A default or an example that a user sees has to name a product. An exception that is not needed fails.
NAMES_ALLOWED = {"cluster/cli/arguments.py"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_files_are_short() -> None:
    lines = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {name: count for name, count in lines.items() if count > LONGEST_FILE} == {}


def code_strings(path: Path) -> list[str]:
    """String constants of a file that are not docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]


def forbidden_names() -> re.Pattern[str]:
    models = {name.rpartition("/")[2] for name in model_names()}
    gpus = {kind for kind in all_gpu_types() if len(kind) > 2}
    words = sorted(models | gpus, key=len, reverse=True)
    return re.compile(rf"\b({'|'.join(map(re.escape, words))})\b", re.IGNORECASE)


def products_named() -> dict[str, set[str]]:
    """Return the models and GPUs that each source file names in a string."""
    forbidden = forbidden_names()
    found = {
        name_of(path): {match[0] for text in code_strings(path) for match in forbidden.finditer(text)}
        for path in SOURCES
    }
    return {file: names for file, names in found.items() if names}


def test_no_model_and_no_gpu_is_named_in_code() -> None:
    """Capabilities are data in cluster/catalog; code that names a product knows too much."""
    named = products_named()
    assert {file: names for file, names in named.items() if file not in NAMES_ALLOWED} == {}
    assert set(named) >= NAMES_ALLOWED, "these exceptions are no longer needed"
