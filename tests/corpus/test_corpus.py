"""A part of the stored answers is asked again here; `make corpus` asks all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.corpus.answers import answer
from tests.corpus.clusters import write_snapshots
from tests.corpus.store import read_rows

EVERY = 15


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder: Path = tmp_path_factory.mktemp("snapshots")
    return write_snapshots(folder)


def test_there_are_at_least_a_thousand_answers_of_every_kind() -> None:
    answers = [stored for _, stored in read_rows()]
    assert len(answers) >= 1000
    assert {stored["status"] for stored in answers} == {0, 1, 2}
    assert len({rule for stored in answers for rule in stored.get("refused", ())}) >= 20


def test_the_planner_answers_as_stored(snapshots: dict[str, str]) -> None:
    different = {
        " ".join(ask): (stored, now)
        for ask, stored in list(read_rows())[::EVERY]
        if (now := answer(ask, snapshots)) != stored
    }
    assert not different
