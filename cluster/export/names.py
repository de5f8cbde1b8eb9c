"""Which formats there are, without importing any: a command line names them before it needs one."""

from __future__ import annotations

import pkgutil
from functools import cache

from cluster.export import formats


@cache
def format_names() -> tuple[str, ...]:
    """Return the formats, sorted by name: one for each file in `formats/`."""
    return tuple(sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(formats.__path__)))
