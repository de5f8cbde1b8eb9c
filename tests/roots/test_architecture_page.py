"""ARCHITECTURE.md names every module, in the words of the module itself."""

from __future__ import annotations

from tests.module_list import PAGE, module_lines, page_with_list


def test_every_module_says_what_it_is_for() -> None:
    assert [line for line in module_lines() if line.endswith(": ")] == []


def test_the_page_lists_the_modules_as_they_are() -> None:
    """When this fails: `make modules`."""
    text = PAGE.read_text("utf-8")
    assert text == page_with_list(text)
