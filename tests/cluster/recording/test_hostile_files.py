"""Files that are no recordings, or were made to do harm: one line each, in bounded time and memory."""

from __future__ import annotations

import gzip
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from cluster.cli.once_json import live_json
from cluster.cli.once_table import live_lines
from cluster.cli.style import Style
from cluster.errors import BadInput, ClusterviewError
from cluster.metrics.text import metrics_text
from cluster.recording import blocks as blocks_module
from cluster.recording.at import live_state_at
from cluster.recording.blocks import pack
from cluster.recording.frames import header_line, key_frame
from cluster.recording.recording import open_recording
from cluster.recording.state import EMPTY, State
from tests.cluster.recording.scenes import BEGIN_S, Scene, record, states, wild


def written(path: Path, *lines: bytes, first_at_s: float = BEGIN_S, last_at_s: float = BEGIN_S + 10) -> Path:
    """Write one block with a right checksum around these lines, after a right header."""
    text = b"\n".join([header_line("t", "0").strip(), *lines])
    path.write_bytes(pack(text, first_at_s, last_at_s, is_key=True))
    return path


def state_of(**sections: Any) -> State:
    ((_, state),) = states(1)
    return {**state, **sections}


def frame(state: Any, at_s: Any = BEGIN_S) -> bytes:
    return json.dumps({"at": at_s, "state": state}).encode()


def refusal(path: Path) -> str:
    """Return the line that a user gets."""
    with pytest.raises(ClusterviewError) as refused:
        live_state_at(open_recording(path), BEGIN_S + 5)
    line = refused.value.one_line()
    assert refused.value.exit_status == 2 and "\n" not in line and "\x1b" not in line
    return line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"hello\n" * 40, "is not a recording"),
        (gzip.compress(b"{}" * 100), "is not a recording"),
        (b"\x1f\x8b" + bytes(100), "is not a recording"),
        (os.urandom(5000), "is not a recording"),
    ],
    ids=("empty", "text", "gzip", "zeros", "random"),
)
def test_other_files(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "r").write_bytes(content)
    assert words in refusal(tmp_path / "r")


def test_names_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, words in (
        (tmp_path / "missing", "No such file"),
        (tmp_path, "is not a regular file"),
        (tmp_path / "pipe", "is not a regular file"),
        (Path("/dev/zero"), "is not a regular file"),
        (tmp_path / "a\0b", "cannot be read"),
    ):
        assert words in refusal(path)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        pytest.param("cannot be read", b"not json", id="not-json"),
        pytest.param("holds no frame", b"[1]", id="list"),
        pytest.param("has no time", b"{}", id="empty-object"),
        pytest.param("a number in it is none", b'{"at": NaN, "state": {}}', id="nan"),
        pytest.param("has no time", b'{"at": "5", "state": {}}', id="time-as-text"),
        pytest.param("a number in it is none", b'{"at": 1e300, "state": {}}', id="far-future"),
        pytest.param("holds no state", frame({}), id="empty-state"),
        pytest.param("holds no state", frame(None), id="null-state"),
        pytest.param("holds no state", frame({**EMPTY, "readings": [1]}), id="list-of-readings"),
        pytest.param("not of the time", frame(EMPTY, BEGIN_S + 99), id="other-time"),
        pytest.param("does not fit", b'{"at": %d, "patch": {"cluster": 5}}' % BEGIN_S, id="patch-first"),
        pytest.param("cannot be read", b'{"at": %d, "state": ' % BEGIN_S + b"[" * 100_000, id="deep"),
        pytest.param(
            "cannot be read", b'{"at": %d, "state": %s}' % (BEGIN_S, b"9" * 10_000), id="long-number"
        ),
        pytest.param("a number in it is none", frame({"x": [1e400]}), id="infinity"),
        pytest.param("a number in it is none", frame({"x": {"y": 10**300}}), id="huge"),
        pytest.param("cannot be read", b"\xff\xfe", id="not-utf8"),
        pytest.param("values", b"[" * 7_000_000, id="brackets"),
    ],
)
def test_blocks_that_hold_something_else(tmp_path: Path, words: str, line: bytes) -> None:
    assert words in refusal(written(tmp_path / "r", line))


@pytest.mark.parametrize(
    "sections",
    [
        {"cluster": {"nodes": 5}},
        {"readings": {"node-0": {"node_id": "x", "taken_at_s": "soon"}}},
        {"readings": {"node-0": {"node_id": "x", "taken_at_s": 1.0, "gpus": {"0": {}}}}},
        {"details": {"node-0": None}},
        {"deployments": [7]},
        {"cluster": {"source": "ray", "from_the_future": True}},
    ],
)
def test_states_that_are_not_ours_name_who_wrote_them(tmp_path: Path, sections: dict[str, Any]) -> None:
    assert "(made by clusterview 0) cannot be read" in refusal(
        written(tmp_path / "r", frame(state_of(**sections)))
    )


def test_no_cluster_and_no_frame(tmp_path: Path) -> None:
    assert "holds no cluster" in refusal(written(tmp_path / "r", frame(state_of(cluster=None))))
    assert "holds no cluster" in refusal(written(tmp_path / "r"))


def test_hostile_names_are_cleaned(tmp_path: Path) -> None:
    cluster = state_of()["cluster"]
    cluster["nodes"][0]["name"] = "a\x1b]0;owned\x07\u202eb"
    live = live_state_at(open_recording(written(tmp_path / "r", frame(state_of(cluster=cluster)))), BEGIN_S)
    assert live.cluster.nodes[0].name == "a]0;ownedb"


def test_wild_numbers_can_be_printed(tmp_path: Path) -> None:
    ((at_s, state),) = list(states(31, Scene(busy_after_s=3)))[-1:]
    for seed in range(30):
        dice = random.Random(seed)
        changed = {section: wild(state[section], dice) for section in ("readings", "details", "deployments")}
        path = written(tmp_path / "r", frame({**state, **changed}), last_at_s=at_s)
        live = live_state_at(open_recording(path), at_s)
        json.dumps(live_json(live), allow_nan=False)
        text = "\n".join(live_lines(live, Style(colored=False))) + metrics_text(live).decode()
        assert "\x1b" not in text


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks_module, "MOST_TEXT_BYTES", 100_000)
    path = tmp_path / "r"
    path.write_bytes(pack(b" " * 50_000_000, BEGIN_S, BEGIN_S, is_key=True))
    with pytest.raises(BadInput, match="more than the limit"):
        open_recording(path)


def test_versions_and_other_formats(tmp_path: Path) -> None:
    for header, words in (
        (
            b'{"format": "clusterview-recording", "version": 2, "clusterview": "9.9"}',
            "made by clusterview 9.9",
        ),
        (b'{"format": "clusterview-cluster", "version": 1}', "is not a recording"),
        (b'{"format": "clusterview-recording", "version": "1e9999"}', "is not a recording"),
    ):
        (tmp_path / "r").write_bytes(pack(header + b"\n", BEGIN_S, BEGIN_S, is_key=True))
        assert words in refusal(tmp_path / "r")


@pytest.mark.parametrize(
    "times", [(-1.0, 5.0), (5.0, 1.0), (float("nan"), 5.0), (0.0, float("inf")), (0.0, 1e300)]
)
def test_blocks_whose_times_are_none(tmp_path: Path, times: tuple[float, float]) -> None:
    (tmp_path / "r").write_bytes(pack(header_line("t", "0"), *times, is_key=True))
    assert "is not a recording" in refusal(tmp_path / "r")


def test_a_recording_without_its_beginning(tmp_path: Path) -> None:
    text = header_line("t", "0") + key_frame(BEGIN_S, state_of())
    (tmp_path / "r").write_bytes(pack(text, BEGIN_S, BEGIN_S, is_key=False))
    assert "lacks its beginning" in refusal(tmp_path / "r")


def test_any_damage_is_a_line_or_an_earlier_end(tmp_path: Path) -> None:
    """Bytes that are flipped, cut and doubled anywhere: never another exception, never a wrong state."""
    whole_states = [state for _, state in record(tmp_path / "whole", 30)]
    whole, dice = (tmp_path / "whole").read_bytes(), random.Random(7)
    for number in range(150):
        content = bytearray(whole)
        for _ in range(dice.randint(1, 3)):
            content[dice.randrange(len(content))] = dice.randrange(256)
        if number % 3 == 0:
            del content[dice.randrange(len(content)) :]
        (tmp_path / "r").write_bytes(content)
        try:
            live = live_state_at(open_recording(tmp_path / "r"), BEGIN_S + 29)
        except ClusterviewError as error:
            assert error.exit_status == 2
            continue
        readings = {one.node_id: one.model_dump(mode="json") for one in live.readings.values()}
        assert readings in [state["readings"] for state in whole_states]
