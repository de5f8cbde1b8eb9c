"""Adapts the built-in engine's tokenizer to the router's protocols."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.deploy.router.tokenizer_protocols import Decoder
from cluster.runtime.chat_template import ChatMessage
from cluster.runtime.tokenizer import StreamDecoder, load_tokenizer


class RouterTokenizer:
    """The tokenizer of a model folder; the byte tokenizer without a folder (dummy weights)."""

    def __init__(self, path: str | None, vocab_size: int) -> None:
        self._tokenizer, self._vocab_size = load_tokenizer(path, vocab_size), vocab_size

    @property
    def vocab_size(self) -> int:
        return self._vocab_size

    def encode(self, text: str) -> list[int]:
        """Return the ids of a prompt."""
        return self._tokenizer.encode(text)

    def encode_chat(self, messages: Sequence[tuple[str, str]]) -> list[int]:
        """Return the ids of a conversation; BadInput when the model's chat template rejects it."""
        return self._tokenizer.encode_chat([ChatMessage(role, text) for role, text in messages])

    def decoder(self) -> Decoder:
        """Return a decoder for one answer."""
        return StreamDecoder(self._tokenizer)
