"""Clean strings from outside, once, before any model holds them.

Process names, host names, model ids and file contents end up on a terminal, and a terminal obeys control
characters. Textual and rich pass ESC and C1 through, so nothing later can be relied on to stop them.
"""

from __future__ import annotations

import functools
import unicodedata
from typing import Annotated

from pydantic import AfterValidator

MAX_TEXT_LENGTH = 256

# Cc control, Cf format (bidi overrides, zero width), Cs surrogate, Co private use, Cn unassigned.
_DROPPED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_SPACES = frozenset("\t\n\r\v\f\u0085\u2028\u2029")


def clean(text: str, max_length: int = MAX_TEXT_LENGTH) -> str:
    """Return `text` in NFC without control, format or private characters, at most `max_length` long."""
    if text.isascii() and text.isprintable():
        return text if len(text) <= max_length else text[: max_length - 1] + "…"
    kept = (" " if char in _SPACES else char for char in unicodedata.normalize("NFC", text[: 4 * max_length]))
    cleaned = "".join(char for char in kept if unicodedata.category(char) not in _DROPPED_CATEGORIES)
    return cleaned if len(cleaned) <= max_length else cleaned[: max_length - 1] + "…"


CleanStr = Annotated[str, AfterValidator(clean)]
"""A string from outside, cleaned when a model is built from it."""


@functools.lru_cache(maxsize=32_768)
def clean_again(text: str) -> str:
    """Return what `clean` does, remembered: for short strings that come again with each reading."""
    return clean(text)


RepeatedStr = Annotated[str, AfterValidator(clean_again)]
"""A CleanStr of a driver or of ours, such as a uuid: thousands of them come again each second."""
