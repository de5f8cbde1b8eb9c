"""What the router needs of a tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Decoder(Protocol):
    """Turns the tokens of one answer into text as they come."""

    def push(self, token_id: int) -> str:
        """Return the text that is certain now; '' while a character is incomplete."""

    def flush(self) -> str:
        """Return what was held back, at the end of the answer."""


class Encoder(Protocol):
    """Text to token ids."""

    @property
    def vocab_size(self) -> int:
        """Token ids are below this."""

    def encode(self, text: str) -> list[int]:
        """Return the ids of a prompt, special tokens in front included."""

    def encode_chat(self, messages: Sequence[tuple[str, str]]) -> list[int]:
        """Return the ids of a conversation of (role, text), up to where the assistant's answer begins."""


class Tokenizer(Protocol):
    """Token ids back to text."""

    def decoder(self) -> Decoder:
        """Return a decoder for one answer."""
