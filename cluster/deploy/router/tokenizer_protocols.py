"""What the router needs from a tokenizer, as protocols."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Decoder(Protocol):
    """Turns the tokens of one answer into text, one by one."""

    def push(self, token_id: int) -> str:
        """Return the text that this token completes; '' while a character is incomplete."""

    def flush(self) -> str:
        """Return what was held back, at the end of the answer."""


class Encoder(Protocol):
    """Converts text to token ids."""

    @property
    def vocab_size(self) -> int:
        """Number of token ids; every id is below this."""

    def encode(self, text: str) -> list[int]:
        """Return the ids of a prompt, including leading special tokens."""

    def encode_chat(self, messages: Sequence[tuple[str, str]]) -> list[int]:
        """Return the ids of a conversation of (role, text), up to where the assistant's answer begins."""


class Detokenizer(Protocol):
    """Converts token ids to text."""

    def decoder(self) -> Decoder:
        """Return a decoder for one answer."""
