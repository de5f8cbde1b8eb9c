"""Which options an engine's release takes: the tables of flags/, which tests/vllm/flags.py writes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("flags")
VERSIONS = {
    engine: tuple(path.stem.partition("-")[2] for path in sorted(FOLDER.glob(f"{engine}-*.json")))
    for engine in ("vllm", "sglang")
}
_INTEGERS = ("int", "human_readable_int", "human_readable_int_or_auto")


@cache
def read_table(engine: str, version: str) -> dict[str, Any]:
    """Return a table: 'read' is 'parser' or 'names', 'options' has what each option takes."""
    table: dict[str, Any] = json.loads((FOLDER / f"{engine}-{version}.json").read_text())
    return table


def faults(arguments: Sequence[str], engine: str, version: str) -> list[str]:
    """Return what the release's parser would not take: unknown options, missing values, wrong values."""
    table = read_table(engine, version)
    return [fault for option, values in _options_in(arguments) for fault in _fault(table, option, values)]


def _options_in(arguments: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    starts = [number for number, argument in enumerate(arguments) if argument.startswith("--")]
    for start, end in zip(starts, [*starts[1:], len(arguments)], strict=True):
        yield arguments[start], list(arguments[start + 1 : end])


def _fault(table: dict[str, Any], option: str, values: list[str]) -> Iterator[str]:
    known = table["options"].get(option)
    if known is None:
        yield f"{option} is unknown"
    elif table["read"] == "parser":
        wanted = 0 if known.get("values") == 0 else 1
        if len(values) != wanted:
            yield f"{option} takes {wanted} values, not {values}"
        yield from (f"{option} does not take {value}" for value in values if not _is_valid(known, value))


def _is_valid(known: dict[str, Any], value: str) -> bool:
    if "choices" in known:
        return value in known["choices"]
    try:
        if known.get("type") in _INTEGERS:
            int(value)
        elif known.get("type") == "float":
            float(value)
    except ValueError:
        return False
    return True
