"""A sample of the generated cases; `make fuzz` runs 20,000."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.cases import arguments_of
from tests.fuzz.run import _judge


@pytest.mark.timeout(280)
def test_a_sample_is_answered_without_a_fault() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "150", "--first", "1000000"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "150 cases: 0 faults" in done.stdout


def test_a_number_is_always_the_same_case(tmp_path: Path) -> None:
    written = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        arguments = [text.replace(name, "") for text in arguments_of(7, tmp_path / name)]
        files = {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        written.append((arguments, files))
    assert written[0] == written[1]


@pytest.mark.parametrize(
    ("status", "out", "err", "fault"),
    [
        (4, "", "clusterview: a fault of ours\n", "status 4"),
        (2, "", "clusterview: a\nb\n", "not one line"),
        (1, "", "", "without an answer"),
        (0, "\x1b[31m", "", "control characters"),
        (0, '{"a": NaN}', "", "NaN in JSON"),
        (0, '{"a": 1}', "", ""),
        (2, "", "clusterview: bad\n", ""),
    ],
)
def test_faults_are_noticed(status: int, out: str, err: str, fault: str) -> None:
    found = _judge(status, out, err, as_json=True)
    assert (fault in found) if fault else not found
