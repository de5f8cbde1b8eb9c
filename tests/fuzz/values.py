"""Unexpected values, and random changes to JSON values."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

ABSURD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 64, 65_537, 2**31, 2**53 + 1, 2**63, -(2**63), 10**30, 10**400),
    *(0.0, -0.0, 0.5, 1.0, 1e-300, 1e300, -1e300, float("nan"), float("inf"), float("-inf")),
    *(
        "",
        " ",
        "0",
        "8",
        "1e9",
        "auto",
        "null",
        "\x1b[31mred",
        "\u202etxt",
        "[bold]x",
        "a" * 5000,
        "re:(",
        "\ud800",
    ),
    *([], [4], [1, True], [4, 4], [4, 4.0], [[]], [None], [1] * 300, {}, {"": 1}, {"a": {"b": [1]}}),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value inside a JSON value; of long lists, only the first few."""
    children = (
        value.items() if isinstance(value, dict) else enumerate(value[:8]) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield (*path, key)
        yield from places(child, (*path, key))


def changed(rng: random.Random, value: Any, most: int = 3) -> Any:
    """Return a copy with up to `most` values replaced, removed, duplicated or added."""
    changed_value = copy.deepcopy(value)
    for _ in range(rng.randint(1, most)):
        found = list(places(changed_value))
        if not found:
            return changed_value
        *parents, key = rng.choice(found)
        inside = changed_value
        for parent in parents:
            inside = inside[parent]
        _change(rng, inside, key)
    return changed_value


def _change(rng: random.Random, inside: Any, key: Any) -> None:
    kind = rng.random()
    if kind < 0.35:
        inside[key] = copy.deepcopy(rng.choice(ABSURD))
    elif kind < 0.7:
        inside[key] = _near(rng, inside[key])
    elif kind < 0.8:
        inside[key] = [inside[key]] * rng.choice((1, 1, 2, 80))
    elif kind < 0.9:
        del inside[key]
    elif isinstance(inside, dict):
        inside[rng.choice(("extra", "hidden_size", "gpus", "quant_method", "\x07"))] = rng.choice(ABSURD)
    else:
        inside.append(copy.deepcopy(inside[key]))


def _near(rng: random.Random, value: Any) -> Any:
    """Return a value of the same kind, which may be valid."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float) and abs(value) < 1e300:
        return rng.choice((value + 1, value * 2, value // 2, value * 1000, -value, float(value), str(value)))
    if isinstance(value, str):
        return rng.choice((value[:-1], value + "x", value.upper(), value * 3))
    return value


def damaged_text(rng: random.Random, value: Any) -> bytes:
    """Return JSON text of a value, sometimes truncated or with stray bytes."""
    data = json.dumps(value).encode("utf-8", "surrogatepass")
    kind = rng.random()
    if kind < 0.02:
        return data[: rng.randint(0, len(data))]
    if kind < 0.04:
        at = rng.randint(0, len(data))
        return data[:at] + rng.choice((b"\xff", b"\x00", b"{", b"]", b'"', b"9" * 5000)) + data[at:]
    return data
