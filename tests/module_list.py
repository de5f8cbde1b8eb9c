"""The list of modules in ARCHITECTURE.md: `python -m tests.module_list` brings it up to date.

Each line is the first sentence of a module's own docstring, so that it is written once, where the code is.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "ARCHITECTURE.md"
HEADING = "## Modules\n"


def module_lines() -> list[str]:
    """Return the list: a heading a folder with its sentence, then one line a module."""
    lines: list[str] = []
    for package in ("cluster", "tui"):
        for init in sorted((ROOT / package).rglob("__init__.py")):
            folder = init.parent
            lines += ["", f"### {folder.relative_to(ROOT)}/", "", first_sentence(init), ""]
            modules = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
            lines += [f"- `{path.name}`: {first_sentence(path)}" for path in modules]
    return lines


def first_sentence(path: Path) -> str:
    """Return the first line of a module's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n")[0]


def page_with_list(text: str) -> str:
    """Return the page with everything behind its last heading made anew."""
    return text.partition(HEADING)[0] + HEADING + "\n".join(module_lines()) + "\n"


def main() -> int:
    """Write the page anew."""
    PAGE.write_text(page_with_list(PAGE.read_text("utf-8")), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
