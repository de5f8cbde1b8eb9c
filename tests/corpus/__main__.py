"""`python -m tests.corpus`: print which stored answers differ from today's. Options:

--accept   store today's answers to the stored questions
--redraw   draw the questions anew and store today's answers
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from tests.corpus.answers import answer
from tests.corpus.clusters import write_snapshots
from tests.corpus.questions import questions
from tests.corpus.store import Row, read_rows, write_rows

_AT_ONCE = 20


def answers_of(asked: list[tuple[str, ...]]) -> list[dict[str, Any]]:
    """Answer all questions, on every core."""
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(os.cpu_count()) as pool:
        ask = partial(answer, snapshots=write_snapshots(Path(folder)))
        return list(pool.map(ask, asked, chunksize=_AT_ONCE))


def differences(stored: Iterable[Row], now: list[dict[str, Any]]) -> list[str]:
    """Return a line for each answer that is not as stored: the command line, and each figure that differs."""
    return [
        f"{' '.join(ask)}\n    {_compared(old, new)}"
        for (ask, old), new in zip(stored, now, strict=True)
        if old != new
    ]


def _compared(old: dict[str, Any], new: dict[str, Any]) -> str:
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return ", ".join(f"{name}: {old.get(name)} -> {new.get(name)}" for name in names)


def main(options: list[str]) -> int:
    """Compare, accept or redraw; returns 1 when something differs and was not accepted."""
    if "--redraw" in options:
        asked = list(questions())
        write_rows(zip(asked, answers_of(asked), strict=True))
        print(f"stored {len(asked)} answers")
        return 0
    stored = list(read_rows())
    asked = [ask for ask, _ in stored]
    now = answers_of(asked)
    found = differences(stored, now)
    print("\n".join(found) or "no difference", f"\n{len(found)} of {len(stored)} answers differ")
    changed = Counter(
        name
        for (_, old), new in zip(stored, now, strict=True)
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    )
    for name, count in changed.most_common():
        print(f"  {name}: {count}")
    if "--accept" in options:
        write_rows(zip(asked, now, strict=True))
        return 0
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
