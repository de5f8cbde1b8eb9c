"""Converts text to token ids and back, with the model's own tokenizer or, without one, byte by byte."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from cluster.errors import BadInput
from cluster.json_file import TOKENIZER_LIMIT, refuse_large
from cluster.runtime.chat_template import ChatMessage, ChatTemplate, load_chat_template
from cluster.runtime.checkpoint_files import TOKENIZER
from cluster.text import clean

# Bytes that are not printable text are shown as one of the 94 visible ASCII characters.
FIRST_VISIBLE = 33
NUM_VISIBLE = 94
# What decoders return for an incomplete character.
UNFINISHED = "\ufffd"


class Tokenizer(Protocol):
    """What the router needs from a tokenizer."""

    def encode(self, text: str) -> list[int]:
        """Return the ids of a prompt, including the model's special tokens."""
        ...

    def encode_chat(self, messages: Sequence[ChatMessage]) -> list[int]:
        """Return the ids of a conversation, up to where the assistant's answer begins."""
        ...

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of ids, without special tokens."""
        ...


class ByteTokenizer:
    """One token per byte of UTF-8. Works with any vocabulary and any output, even of dummy weights."""

    def __init__(self, vocab_size: int) -> None:
        self._vocab_size = vocab_size
        self._template = ChatTemplate()

    def encode(self, text: str) -> list[int]:
        return [byte % self._vocab_size for byte in text.encode("utf-8", "replace")]

    def encode_chat(self, messages: Sequence[ChatMessage]) -> list[int]:
        return self.encode(self._template.render(messages))

    def decode(self, token_ids: Sequence[int]) -> str:
        decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        decoded = decoder.decode(bytes(token_id % 256 for token_id in token_ids))
        text = "".join(char if char.isprintable() or char == "\n" else _visible(char) for char in decoded)
        unfinished, _ = decoder.getstate()
        return text + UNFINISHED if unfinished else text


class ModelTokenizer:
    """The tokenizer.json of a model folder."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = _load(folder / TOKENIZER)
        self._template = load_chat_template(folder)

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(_sound(text)).ids)

    def encode_chat(self, messages: Sequence[ChatMessage]) -> list[int]:
        text = _sound(self._template.render(messages))
        # The model's own template already includes the special tokens.
        return list(self._tokenizer.encode(text, add_special_tokens=not self._template.is_model_own).ids)

    def decode(self, token_ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(token_ids), skip_special_tokens=True))


class StreamDecoder:
    """Turns tokens into text one by one, holding back incomplete characters."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        # Ids up to `_printed` have been returned; those from `_start` are still needed as context.
        self._start = 0
        self._printed = 0

    def push(self, token_id: int) -> str:
        """Return the text that this token completes, possibly ''."""
        self._ids.append(token_id)
        before = self._tokenizer.decode(self._ids[self._start : self._printed])
        after = self._tokenizer.decode(self._ids[self._start :])
        if len(after) <= len(before) or after.endswith(UNFINISHED):
            return ""
        self._start, self._printed = self._printed, len(self._ids)
        return after[len(before) :]

    def flush(self) -> str:
        """Return what was held back, at the end of the answer."""
        before = self._tokenizer.decode(self._ids[self._start : self._printed])
        return self._tokenizer.decode(self._ids[self._start :])[len(before) :]


def load_tokenizer(path: str | None, vocab_size: int) -> Tokenizer:
    """Return the folder's tokenizer; the byte tokenizer without a folder or without a tokenizer.json."""
    folder = Path(path) if path else None
    if folder is None or not (folder / TOKENIZER).is_file():
        return ByteTokenizer(vocab_size)
    return ModelTokenizer(folder)


def _load(file: Path) -> Any:
    from tokenizers import Tokenizer as LibraryTokenizer

    refuse_large(file, TOKENIZER_LIMIT)
    try:
        return LibraryTokenizer.from_file(str(file))
    except Exception as error:
        raise BadInput(f"{file} cannot be read: {clean(str(error))}", "Download it again") from error


def _sound(text: str) -> str:
    """Replace lone surrogates, which are valid in JSON but not in UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _visible(char: str) -> str:
    return chr(FIRST_VISIBLE + ord(char) % NUM_VISIBLE)
