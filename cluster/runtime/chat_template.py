"""Renders a conversation as one prompt, with the model's own chat template or a plain one."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.errors import BadInput
from cluster.text import clean

LONGEST_TEXT = 16 * 1024**2
"""Maximum characters of a rendered conversation, more than any context holds."""
_MOST_FILE_BYTES = 32 * 1024**2


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn: role 'system', 'user' or 'assistant', and its text."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """Renders messages; without `source` as plain 'role: text' lines."""

    source: str | None = None
    """Jinja source that came with the model. Untrusted code, so it is rendered in jinja2's sandbox only."""
    special_tokens: dict[str, str] = field(default_factory=dict)
    """Values for the names that templates use: bos_token, eos_token."""

    @property
    def is_model_own(self) -> bool:
        return self.source is not None

    def render(self, messages: Sequence[ChatMessage]) -> str:
        """Return the prompt, up to where the assistant's answer begins."""
        if self.source is None:
            turns = [f"{message.role}: {message.content}\n" for message in messages]
            return "".join(turns) + "assistant: "
        return self._render_jinja(messages)

    def _render_jinja(self, messages: Sequence[ChatMessage]) -> str:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            template = _compiled(self.source or "")
            chunks = template.generate(messages=turns, add_generation_prompt=True, **self.special_tokens)
            return _joined(chunks)
        except MemoryError as error:
            raise BadInput("The model's chat template needs too much memory for these messages") from error
        except Exception as error:
            # A template is a program: it can fail in any way that a program can.
            raise BadInput(
                f"The model's chat template rejects these messages: {clean(str(error))}"
            ) from error


@functools.lru_cache(maxsize=4)
def _compiled(source: str) -> Any:
    """Compile a template. Rendering may never end: do it only in a process that has a time limit."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = _refuse
    return environment.from_string(source)


def _joined(chunks: Iterator[str]) -> str:
    kept, length = [], 0
    for chunk in chunks:
        length += len(chunk)
        if length > LONGEST_TEXT:
            raise ValueError(f"it writes more than {LONGEST_TEXT} characters")
        kept.append(chunk)
    return "".join(kept)


def load_chat_template(folder: Path) -> ChatTemplate:
    """Read chat_template.jinja or tokenizer_config.json; the plain template if neither has one.

    The plain one is also used where jinja2 is not installed.
    """
    from importlib.util import find_spec

    settings = _read_settings(folder / "tokenizer_config.json")
    file = folder / "chat_template.jinja"
    source = _read(file) if file.is_file() else _default_template(settings)
    if not isinstance(source, str) or find_spec("jinja2") is None:
        return ChatTemplate()
    tokens = {name: _token_text(settings.get(name)) for name in ("bos_token", "eos_token")}
    return ChatTemplate(source, tokens)


def _read(file: Path) -> str:
    with file.open("rb") as opened:
        data = opened.read(_MOST_FILE_BYTES + 1)
    if len(data) > _MOST_FILE_BYTES:
        limit = _MOST_FILE_BYTES // 1024**2
        raise BadInput(f"{clean(str(file))} is larger than {limit} MiB", "Download it again")
    return data.decode("utf-8", "replace")


def _read_settings(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        settings = json.loads(_read(file))
    except (OSError, ValueError, RecursionError):
        return {}
    return settings if isinstance(settings, dict) else {}


def _default_template(settings: dict[str, Any]) -> object:
    """Return the default template. Some models list several as {name, template}."""
    template = settings.get("chat_template")
    if not isinstance(template, list):
        return template
    named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
    return named.get("default")


def _token_text(token: object) -> str:
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else ""


def _refuse(message: str) -> None:
    raise ValueError(message)
