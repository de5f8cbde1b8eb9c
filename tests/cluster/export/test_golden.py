"""The exports of a few layouts, word by word."""

from __future__ import annotations

import pytest

from tests.cluster.export.golden_files import FOLDER, STORED, text_of


@pytest.mark.parametrize("name", STORED)
def test_the_text_is_as_stored(name: str) -> None:
    assert text_of(name) == (FOLDER / name).read_text(encoding="utf-8")


def test_every_stored_file_is_compared() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(STORED)
