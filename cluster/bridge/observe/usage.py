"""How many GPUs of a node are taken, from the text that Ray's dashboard has for people."""

from __future__ import annotations

import contextlib


def taken_gpus(usage: str) -> float:
    """Return the GPUs that jobs and placement groups hold, 0 where the text does not say.

    Its line is '1.0/8.0 GPU', or '1.0/8.0 GPU (1.0 used of 4.0 reserved in placement groups)': what groups
    reserve and do not use is taken too.
    """
    for line in usage.splitlines():
        amount, _, rest = line.strip().partition(" ")
        if rest == "GPU" or rest.startswith("GPU ("):
            with contextlib.suppress(ValueError):
                return float(amount.partition("/")[0]) + _reserved_unused(rest)
    return 0.0


def _reserved_unused(rest: str) -> float:
    used, separator, reserved = rest.partition("(")[2].partition(" used of ")
    return float(reserved.partition(" ")[0]) - float(used) if separator else 0.0
