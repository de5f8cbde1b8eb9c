"""What was written is read again: anywhere, in part, and from a file that was cut off."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from cluster.bridge.events import Progress, ReadingsSeen, SessionLost, TokenSeen
from cluster.errors import BadInput, SystemFailed
from cluster.recording.at import cluster_for_planning, live_state_at
from cluster.recording.blocks import HEAD_BYTES
from cluster.recording.cursor import Cursor
from cluster.recording.recorder import Recorder
from cluster.recording.recording import open_recording
from cluster.recording.state import EMPTY, Restorer, with_event
from cluster.recording.writer import KEY_S, RecordingWriter
from tests.cluster.recording.scenes import BEGIN_S, PLANNED_BYTES, Scene, record, states


def names_in(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


def test_every_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = record(tmp_path / "r", 150)
    cursor = Cursor(open_recording(tmp_path / "r"))
    for at_s, state in written:
        assert cursor.step()
        assert (cursor.at_s, cursor.state) == (at_s, state)
    assert not cursor.step() and cursor.damage == []


@pytest.mark.parametrize("second", [0, 1, 59, 60, 61, 90, 149])
def test_any_moment_is_found(tmp_path: Path, second: int) -> None:
    written = record(tmp_path / "r", 150)
    cursor = Cursor(open_recording(tmp_path / "r"))
    cursor.seek(BEGIN_S + second + 0.5)
    assert (cursor.at_s, cursor.state) == written[second]


def test_moments_outside_are_the_nearest_end(tmp_path: Path) -> None:
    written = record(tmp_path / "r", 20)
    cursor = Cursor(open_recording(tmp_path / "r"))
    for at_s, expected in ((0.0, 0), (BEGIN_S + 9e6, 19)):
        cursor.seek(at_s)
        assert (cursor.at_s, cursor.state) == written[expected]


def test_steps_lead_back_over_every_frame(tmp_path: Path) -> None:
    written = record(tmp_path / "r", 70)
    cursor = Cursor(open_recording(tmp_path / "r"))
    cursor.seek(BEGIN_S + 69)
    for at_s, state in reversed(written[:-1]):
        assert cursor.step_back()
        assert (cursor.at_s, cursor.state) == (at_s, state)
    assert not cursor.step_back()


def test_a_recording_is_gzip_of_json_lines(tmp_path: Path) -> None:
    record(tmp_path / "r", 20)
    lines = gzip.decompress((tmp_path / "r").read_bytes()).splitlines()
    header, first, second, *_ = (json.loads(line) for line in lines)
    assert header["format"] == "clusterview-recording" and header["title"] == "simulated 2x4xA100-80GB"
    assert first["state"]["cluster"]["nodes"][0]["name"] == "gpu-0"
    assert "cluster" not in second["patch"]
    assert (tmp_path / "r").stat().st_mode & 0o077 == 0, "it holds users and command lines"


def test_a_file_that_is_cut_off_plays_up_to_there(tmp_path: Path) -> None:
    written = record(tmp_path / "r", 100)
    whole = (tmp_path / "r").read_bytes()
    (tmp_path / "cut").write_bytes(whole[:-40])
    recording = open_recording(tmp_path / "cut")
    assert recording.cut_off == "cut off"
    cursor = Cursor(recording)
    cursor.seek(BEGIN_S + 1e6)
    assert (cursor.at_s, cursor.state) in written[80:-1]


def test_what_is_damaged_is_passed_over_and_said(tmp_path: Path) -> None:
    written = record(tmp_path / "r", 150)
    recording = open_recording(tmp_path / "r")
    broken = next(block for block in recording.blocks if block.first_at_s > BEGIN_S + 10)
    content = bytearray((tmp_path / "r").read_bytes())
    content[broken.offset + HEAD_BYTES + 20] ^= 0xFF
    (tmp_path / "r").write_bytes(content)
    cursor, times = Cursor(recording), []
    while cursor.step():
        times.append(cursor.at_s)
        assert (cursor.at_s, cursor.state) in written
    assert times[-1] == written[-1][0]
    assert not any(broken.first_at_s <= at_s < BEGIN_S + KEY_S for at_s in times)
    ((first_at_s, _, why),) = cursor.damage
    assert first_at_s == broken.first_at_s and why
    with pytest.raises(BadInput, match=r"is damaged, .* cannot be read"):
        live_state_at(recording, BEGIN_S + 30)
    assert live_state_at(recording, BEGIN_S + 100).now_s == BEGIN_S + 100


def test_the_name_is_taken_with_the_first_block_and_no_file_is_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "r"
    path.write_text("mine")
    with pytest.raises(BadInput, match="File exists") as refused:
        RecordingWriter(path, "")
    assert "--force" in refused.value.hint
    with RecordingWriter(path, "", may_replace=True):
        assert path.read_text() == "mine"
    assert path.read_text() == "mine" and names_in(tmp_path) == ["r"]
    ((at_s, state),) = states(1)
    with RecordingWriter(path, "", may_replace=True) as writer:
        writer.add(at_s, state)
    assert open_recording(path).first_at_s == BEGIN_S and names_in(tmp_path) == ["r"]


def test_what_is_written_is_there_before_the_end(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r", "") as writer:
        for at_s, state in states(12):
            writer.add(at_s, state)
        assert open_recording(tmp_path / "r").last_at_s >= BEGIN_S + 5


@pytest.mark.parametrize("name", ["no/such/r", "a\0b"])
def test_a_name_that_cannot_be_used(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="cannot write"):
        RecordingWriter(tmp_path / name, "")
    with pytest.raises(BadInput, match="cannot write"):
        RecordingWriter(tmp_path, "", may_replace=True)


def test_a_full_disk_keeps_what_was_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = os.write, []

    def write(file: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) == 1:
            return real(file, data)
        real(file, bytes(data)[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cluster.recording.writer.os.write", write)
    with pytest.raises(SystemFailed, match="No space left"), RecordingWriter(tmp_path / "r", "") as writer:
        for at_s, state in states(30):
            writer.add(at_s, state)
    monkeypatch.undo()
    recording = open_recording(tmp_path / "r")
    assert len(recording.blocks) == 1 and recording.cut_off == ""


def test_a_clock_that_is_set_back_costs_no_frame(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r", "") as writer:
        for number, (_, state) in enumerate(states(5)):
            writer.add(BEGIN_S - 100 * number, state)
    cursor, frames = Cursor(open_recording(tmp_path / "r")), 0
    while cursor.step():
        frames += 1
    assert frames == 5


def test_a_session_is_recorded_and_prompts_are_not(tmp_path: Path) -> None:
    clock = iter(range(100))
    with RecordingWriter(tmp_path / "r", "") as writer:
        recorder = Recorder(writer, lambda: BEGIN_S + next(clock))
        recorder(Progress(message="joining"))
        recorder.add_news()
        assert writer.num_frames == 0, "there is no cluster yet"
        for event in Scene().at(0):
            recorder(event)
        recorder.add_news()
        recorder(TokenSeen(prompt_id="1", text="a secret"))
        recorder.add_news()
        assert writer.num_frames == 1
        recorder(SessionLost(reason="its head died"))
        recorder.record(lambda: False)
        recorder.add_news()
    assert recorder.lost is not None
    cursor = Cursor(open_recording(tmp_path / "r"))
    cursor.seek(BEGIN_S + 100)
    assert cursor.state["lost"]["reason"] == "its head died"
    assert b"secret" not in gzip.decompress((tmp_path / "r").read_bytes())


def test_a_broken_connection_is_over_with_the_next_news() -> None:
    ((_, state),) = states(1)
    broken = with_event(state, Progress(message="reconnecting", interrupted=True))
    assert broken["progress"]["message"] == "reconnecting"
    assert with_event(broken, ReadingsSeen(nodes=()))["progress"] is None
    assert with_event(state, Progress(message="done", fraction=1.0))["progress"] is None


def test_events_lead_to_the_same_state_again() -> None:
    state, again = EMPTY, EMPTY
    restorer, sent = Restorer(), EMPTY
    for second in range(40):
        for event in Scene().at(second):
            state = with_event(state, event)
        for event in restorer.events(sent, state):
            again = with_event(again, event)
        sent = state
    assert again == state


def test_a_recorded_moment_is_planned_on_with_its_free_memory(tmp_path: Path) -> None:
    record(tmp_path / "r", 60)
    recording = open_recording(tmp_path / "r")
    busy, free = (cluster_for_planning(live_state_at(recording, BEGIN_S + at)) for at in (50, 10))
    assert (busy.source, busy.simulated) == ("file", True)
    used = [
        (before.memory_free_bytes or 0) - (after.memory_free_bytes or 0)
        for before, after in zip(free.nodes[0].gpus, busy.nodes[0].gpus, strict=True)
    ]
    assert used == [PLANNED_BYTES, 0, 0, 0]
