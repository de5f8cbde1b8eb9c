"""Byte and rate constants, and the only code that turns bytes and counts into text.

Everywhere else sizes are bytes, times are seconds and rates are per second.
"""

from __future__ import annotations

import math

KIB = 1024
MIB = 1024**2
GIB = 1024**3
TIB = 1024**4

NOT_AVAILABLE = "n/a"

_SCALES = ((TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB"))


def format_bytes(size_bytes: float | None, decimals: int = 1) -> str:
    """Format a size in the largest binary unit in which it is at least one; None is 'n/a'."""
    if size_bytes is None:
        return NOT_AVAILABLE
    for scale, name in _SCALES:
        if abs(size_bytes) >= scale:
            return f"{size_bytes / scale:,.{decimals}f} {name}"
    return f"{size_bytes:.0f} B"


def in_tenths(count: float) -> str:
    """Format a count with one decimal, never rounded up: 0.99 of a request is no request."""
    return f"{math.floor(count * 10) / 10:,.1f}"


def format_gib(size_bytes: float | None, decimals: int = 1) -> str:
    """Format a size in GiB, whatever its magnitude, so that columns compare; None is 'n/a'."""
    return NOT_AVAILABLE if size_bytes is None else f"{size_bytes / GIB:,.{decimals}f} GiB"


def format_duration(duration_s: float | None) -> str:
    """Format a duration in a suitable unit: µs, ms, s, min or h; None is 'n/a'."""
    if duration_s is None:
        return NOT_AVAILABLE
    if duration_s < 1e-3:
        return f"{duration_s * 1e6:.0f} µs"
    if duration_s < 1:
        return f"{duration_s * 1e3:.3g} ms"
    if duration_s < 120:
        return f"{duration_s:.3g} s"
    if duration_s < 7200:
        return f"{duration_s / 60:.3g} min"
    return f"{duration_s / 3600:.3g} h"


def count_of(number: int, noun: str) -> str:
    """Format a count with its noun: '1 node', '2 nodes'."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def format_count(count: float | None) -> str:
    """Format a count briefly: 7.0 B, 640 K, 312; None is 'n/a'."""
    if count is None:
        return NOT_AVAILABLE
    for scale, name in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e4, "K")):
        if abs(count) >= scale:
            return f"{count / (1e3 if name == 'K' else scale):.3g} {name}"
    return f"{count:,.0f}"
