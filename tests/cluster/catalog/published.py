"""Parameter counts as model cards print them ('32B', '671B (685B incl. 14B MTP)'), and how exact they are."""

from __future__ import annotations

import re
from decimal import Decimal

_FIGURE = re.compile(r"(\d+(?:\.\d+)?)([MBT]?)(?: \(|$)")
_SCALES = {"": 1, "M": 10**6, "B": 10**9, "T": 10**12}
# What a single digit may hide: '1T' stands for 1.026e12, and not for 1.9e12.
_LOOSEST_SHARE = Decimal("0.1")


def stated_figure(text: str) -> tuple[Decimal, Decimal] | None:
    """Return a printed count and the value of one unit of its last digit; None where `text` is no count.

    Zeros at the end are taken for rounding: '120B' has units of 10 billion. Vendors round or cut off as they
    like ('32B' for 32.76 billion), so that a true count may be anywhere within one unit.
    """
    found = _FIGURE.match(text)
    if found is None:
        return None
    digits, scale = Decimal(found[1]).normalize(), _SCALES[found[2]]
    exponent = digits.as_tuple().exponent
    assert isinstance(exponent, int)
    unit = Decimal(1) if scale == 1 else Decimal(10) ** exponent * scale
    return digits * scale, unit


def is_within(count: int, text: str) -> bool:
    """Whether a count is what `text` states, to the digits that it gives."""
    figure = stated_figure(text)
    assert figure is not None, text
    stated, unit = figure
    return abs(count - stated) < min(unit, _LOOSEST_SHARE * stated)
