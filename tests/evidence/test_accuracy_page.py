"""ACCURACY.md matches the planner's current figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.errors import BadInput
from tests.evidence.document import rendered, table_of, update_document
from tests.evidence.report import report

ROOT = Path(__file__).parents[2]


def test_the_page_holds_what_the_command_prints() -> None:
    """If this fails, run `make evidence` and review the changes before committing them."""
    assert table_of((ROOT / "ACCURACY.md").read_text("utf-8")) == rendered(
        report(ROOT / "tests" / "evidence" / "data")
    )


def test_a_page_without_its_marks_is_an_error(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("no marks here")
    with pytest.raises(BadInput):
        update_document(page, ["a line"])
