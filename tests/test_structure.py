"""Rules of the code that a reader should be able to rely on."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from cluster.catalog.gpus import all_gpu_types
from cluster.catalog.models import model_names
from tests.conftest import SLOW

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(path for top in ("tui", "cluster") for path in (ROOT / top).rglob("*.py"))
LONGEST_FILE = 300
PLANNER = [path for path in SOURCES if "planner" in path.relative_to(ROOT).parts[:2]]
MOST_PARAMETERS = 5
"""Of a function of the planner."""

# A default or an example that a user sees has to name a product. An exception that is not needed fails.
NAMES_ALLOWED = {"cluster/cli/arguments.py"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_files_are_short() -> None:
    lines = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {name: count for name, count in lines.items() if count > LONGEST_FILE} == {}


def functions_of(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def count_parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Parameters that a caller may give: keyword-only ones count, self and cls do not."""
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    return sum(one.arg not in ("self", "cls") for one in named) + (given.vararg is not None)


def test_planner_functions_take_few_parameters() -> None:
    """What belongs together is one value: a replica, its memory, the traffic."""
    assert [
        f"{name_of(path)}: {function.name} takes {count_parameters(function)}"
        for path in PLANNER
        for function in functions_of(path)
        if count_parameters(function) > MOST_PARAMETERS
    ] == []


def test_keyword_only_parameters_count_and_self_does_not(tmp_path: Path) -> None:
    source = tmp_path / "example.py"
    source.write_text("def f(a, *b, c): ...\nclass C:\n    def g(self, a, /, b, *, c, d, e, f): ...\n")
    assert sorted(count_parameters(function) for function in functions_of(source)) == [3, 6]


def test_no_planner_module_asks_a_placement_what_it_is() -> None:
    """Candidates carry their facts in `span`; a type test would hold for one kind of placement only."""
    asked = [
        f"{name_of(path)}:{node.lineno}"
        for path in PLANNER
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "isinstance"
        and "Placement" in ast.unparse(node.args[1])
    ]
    assert asked == []


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


def test_the_slow_tests_that_are_listed_exist() -> None:
    assert sorted(name for name in SLOW if not (ROOT / "tests" / name).exists()) == []
