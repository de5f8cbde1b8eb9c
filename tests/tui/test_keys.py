"""Any input from the terminal: keys are keys, and nothing crashes the reader or is misread."""

from __future__ import annotations

import random

import pytest
from textual import events
from textual.message import Message

from tui.terminal.keys import LONGEST_PASTE, PASTE_SILENT_S, KeyReader

BEGIN, END = b"\x1b[200~", b"\x1b[201~"


def keys_of(messages: list[Message]) -> list[str]:
    """Names of the keys among messages."""
    return [message.key for message in messages if isinstance(message, events.Key)]


def pastes_of(messages: list[Message]) -> list[str]:
    """Texts that were pasted."""
    return [message.text for message in messages if isinstance(message, events.Paste)]


@pytest.mark.parametrize("noise", [b"\xff", b"\xe9", b"\xf0\x9f", b"\xc0\xaf", b"\xed\xa0\x80", b"\x80" * 9])
def test_bytes_that_are_not_utf8_do_not_take_the_next_key_with_them(noise: bytes) -> None:
    assert keys_of(KeyReader().feed(noise + b"j"))[-1] == "j"


def test_a_character_split_over_reads_is_one_key() -> None:
    reader = KeyReader()
    first, second = "é".encode()[:1], "é".encode()[1:]
    assert keys_of(reader.feed(first)) == []
    assert [message.character for message in reader.feed(second) if isinstance(message, events.Key)] == ["é"]


def test_an_arrow_split_over_reads_is_an_arrow() -> None:
    reader = KeyReader()
    assert keys_of([*reader.feed(b"\x1b"), *reader.feed(b"["), *reader.feed(b"B")]) == ["down"]


@pytest.mark.parametrize("sequence", [b"\x1b[:u", b"\x1b[;:2Q", b"\x1b[1114112u", b"\x1b[6:u", b"\x1b[1:7R"])
def test_an_unreadable_sequence_loses_only_itself(sequence: bytes) -> None:
    assert keys_of(KeyReader().feed(sequence + b"j"))[-1] == "j"


def test_sizes_that_no_terminal_has_are_dropped() -> None:
    reader = KeyReader()
    sizes = [*reader.feed(b"\x1b[48;99999;99999;0;0t"), *reader.feed(b"\x1b[48;0;0;0;0t")]
    assert not [message for message in sizes if isinstance(message, events.Resize)]
    assert [type(message) for message in reader.feed(b"\x1b[48;24;80;0;0t")] == [events.Resize]


@pytest.mark.parametrize("cut", range(1, len(BEGIN + b"a\x1b[Bq\r\x03" + END)))
def test_a_paste_is_one_text_however_it_is_split(cut: int) -> None:
    reader = KeyReader()
    data = BEGIN + b"a\x1b[Bq\r\x03" + END
    messages = [*reader.feed(data[:cut]), *reader.feed(data[cut:]), *reader.feed(b"j")]
    assert pastes_of(messages) == ["a?[Bq\n?"]
    assert keys_of(messages) == ["j"]


def test_no_byte_of_a_binary_paste_is_a_key() -> None:
    reader = KeyReader()
    noise = bytes(random.Random(1).randbytes(200_000)).replace(b"\x1b[201~", b"")
    messages = [*reader.feed(BEGIN), *reader.feed(noise), *reader.feed(END)]
    assert keys_of(messages) == []
    assert len(pastes_of(messages)) == 1


def test_a_huge_paste_is_cut() -> None:
    reader = KeyReader()
    messages = [*reader.feed(BEGIN + b"x" * 3_000_000), *reader.feed(b"x" * 3_000_000 + END + b"j")]
    assert [len(text) for text in pastes_of(messages)] == [LONGEST_PASTE]
    assert keys_of(messages) == ["j"]


def test_keys_work_again_after_a_paste_whose_end_never_came() -> None:
    now = [0.0]
    reader = KeyReader(clock=lambda: now[0])
    assert reader.feed(BEGIN + b"half") == []
    now[0] = PASTE_SILENT_S / 2
    assert reader.tick() == []
    now[0] = PASTE_SILENT_S * 2
    assert pastes_of(reader.tick()) == ["half"]
    assert keys_of(reader.feed(b"q")) == ["q"]


def test_no_noise_stops_the_reader() -> None:
    draw = random.Random(7)
    reader = KeyReader()
    letters = [b"\x1b", *(bytes([letter]) for letter in b"[<:;9uMtR$y~?\x00\xff")]
    for _ in range(4_000):
        reader.feed(b"".join(draw.choices(letters, k=draw.randint(1, 12))))
        reader.tick()
    reader.feed(b"\x1b[201~aaaa")
    assert keys_of(reader.feed(b"j"))[-1] == "j"
