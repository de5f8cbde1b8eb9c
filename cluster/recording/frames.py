"""The lines of a recording: a header, then frames: a whole state, or what changed since the last. Pure."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from types import NoneType
from typing import Any

from pydantic import ValidationError

from cluster.errors import BadInput
from cluster.frozen import FromAnyVersion
from cluster.json_file import FileLimit, parse_json, refuse_many_values
from cluster.recording.blocks import LATEST_S, MOST_TEXT_BYTES, Damaged
from cluster.recording.patch import Path, difference, merged, without
from cluster.recording.state import EMPTY, State
from cluster.text import CleanStr

FORMAT = "clusterview-recording"
FORMAT_VERSION = 1
_MAKE_ONE = "Create one with: clusterview record FILE"
_LARGEST = 2.0**64
_BLOCK = FileLimit("a block of a recording", MOST_TEXT_BYTES, 6_000_000)


class Header(FromAnyVersion):
    """The first line of a recording."""

    format: str
    version: int
    clusterview: CleanStr = ""
    """Version of clusterview that wrote it."""
    title: CleanStr = ""
    """Where the cluster came from: 'ray 10.0.0.1:6379'."""


def header_line(title: str, clusterview_version: str) -> bytes:
    """Return the first line of a recording."""
    header = Header(format=FORMAT, version=FORMAT_VERSION, clusterview=clusterview_version, title=title)
    return header.model_dump_json().encode() + b"\n"


def read_header(line: bytes, where: str) -> Header:
    """Return the header in the first line of a recording; BadInput where it is none that can be read."""
    try:
        header = Header.model_validate_json(line)
    except ValidationError:
        raise BadInput(f"{where} is not a recording", _MAKE_ONE) from None
    if header.format != FORMAT:
        raise BadInput(f"{where} is not a recording", _MAKE_ONE)
    if header.version != FORMAT_VERSION:
        raise BadInput(
            f"{where} has recording version {header.version}, made by clusterview {header.clusterview}",
            f"Expected version {FORMAT_VERSION}; use a newer clusterview",
        )
    return header


def key_frame(at_s: float, state: State) -> bytes:
    """Return the line that holds a whole state."""
    return _line({"at": round(at_s, 3), "state": state})


def next_frame(at_s: float, old: State, new: State) -> bytes:
    """Return the line that leads from one state to the next."""
    gone: list[Path] = []
    patch = difference(old, new, gone)
    frame = {"at": round(at_s, 3), "patch": patch}
    return _line({**frame, "gone": gone} if gone else frame)


def _line(frame: dict[str, Any]) -> bytes:
    return json.dumps(frame, separators=(",", ":")).encode() + b"\n"


def read_frames(text: bytes) -> Iterator[tuple[float, dict[str, Any]]]:
    """Yield (time, frame) for each line of a block that is not the header; Damaged for any other line."""
    try:
        refuse_many_values(text, "a block", _BLOCK)
    except BadInput as error:
        raise Damaged(error.message) from None
    last_s = 0.0
    for line in io.BytesIO(text):
        frame = _parsed(line)
        if "format" in frame:
            continue
        at_s = frame.get("at")
        if not isinstance(at_s, int | float) or not math.isfinite(at_s) or not last_s <= at_s <= LATEST_S:
            raise Damaged("a frame has no time, or one before the frame before it")
        last_s = float(at_s)
        yield last_s, frame


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        frame = parse_json(line.decode(), "a frame", _BLOCK)
    except (UnicodeDecodeError, BadInput) as error:
        raise Damaged(f"a line cannot be read ({error})") from None
    if not isinstance(frame, dict):
        raise Damaged("a line holds no frame")
    _refuse_wild_numbers(frame)
    return frame


def _refuse_wild_numbers(frame: dict[str, Any]) -> None:
    """Raise Damaged for a number that no machine counts to: it would only cause an overflow later."""
    waiting: list[Any] = [frame]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, int | float) and not -_LARGEST <= value <= _LARGEST:
            raise Damaged("a number in it is none")


def state_after(old: State | None, frame: dict[str, Any]) -> State:
    """Return the state after a frame; Damaged where the frame does not fit what is before it."""
    try:
        state = frame["state"] if "state" in frame else _patched(old, frame)
    except (KeyError, ValueError, IndexError, TypeError, RecursionError):
        raise Damaged("a frame does not fit the one before it") from None
    if not _has_sections(state):
        raise Damaged("a frame holds no state of a cluster")
    return {section: state[section] for section in EMPTY}


def _patched(old: State | None, frame: dict[str, Any]) -> Any:
    if old is None:
        raise ValueError("there is nothing to change")
    state: Any = old
    for path in frame.get("gone", ()):
        state = without(state, path)
    return merged(state, frame["patch"])


def _has_sections(state: Any) -> bool:
    """True for an object with all sections, in the form that `Restorer` goes through."""
    return (
        isinstance(state, dict)
        and set(EMPTY) <= set(state)
        and all(isinstance(state[section], dict) for section in ("readings", "details"))
        and isinstance(state["deployments"], list | NoneType)
        and all(isinstance(state[section], dict | NoneType) for section in ("cluster", "progress", "lost"))
    )
