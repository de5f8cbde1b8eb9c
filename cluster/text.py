"""Clean strings from outside, once, before any model holds them.

Process names, host names, model ids and file contents end up on a terminal, and a terminal obeys control
characters. Textual and rich pass ESC and C1 through, so nothing later can be relied on to stop them.
"""

from __future__ import annotations

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
