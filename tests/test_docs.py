"""The pages name files that exist: a newcomer who follows them must not end at a missing one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")
PATH = re.compile(r"`((?:[\w.-]+/)+(?:[\w-]+\.\w+)?)`")
# Inside a section on a package the pages shorten paths; the shortest that is used is planner/...
FOLDERS = ("", "cluster", "cluster/planner", "cluster/catalog")
LONGEST_ARCHITECTURE = 180


def missing_paths(text: str) -> list[str]:
    """Return the `folder/` and `folder/file.py` of a text that do not exist."""
    named = dict.fromkeys(PATH.findall(text))
    return [path for path in named if not any((ROOT / folder / path).exists() for folder in FOLDERS)]


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_exist(page: str) -> None:
    assert missing_paths((ROOT / page).read_text(encoding="utf-8")) == []


def test_a_missing_file_is_found() -> None:
    assert missing_paths("`cluster/planner/plan.py`, `planner/no_such.py` and `router/`") == [
        "planner/no_such.py",
        "router/",
    ]


def test_the_architecture_page_is_short() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines()) <= LONGEST_ARCHITECTURE
