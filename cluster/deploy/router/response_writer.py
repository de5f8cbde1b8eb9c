"""The JSON format of answers; completions and chat completions each implement it."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import Any, Protocol

from cluster.deploy.router.answers import Answer

Json = dict[str, Any]


def new_id(prefix: str) -> str:
    """Return a unique id for an answer."""
    return f"{prefix}-{uuid.uuid4().hex}"


def unix_time() -> int:
    """Return the time in whole seconds since 1970."""
    return int(time.time())


def usage(num_prompt: int, num_output: int) -> Json:
    """Return the `usage` object of an answer."""
    return {
        "prompt_tokens": num_prompt,
        "completion_tokens": num_output,
        "total_tokens": num_prompt + num_output,
    }


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """The fields that every chunk of one answer repeats."""

    id: str
    created: int
    model: str

    def with_choices(self, object_name: str, choices: list[Json], **more: Any) -> Json:
        """Return a response object with `choices` and any further fields."""
        return {
            "id": self.id,
            "object": object_name,
            "created": self.created,
            "model": self.model,
            "choices": choices,
            **more,
        }


class ResponseWriter(Protocol):
    """Formats one kind of answer."""

    def whole(self, answer: Answer, num_prompt: int) -> Json:
        """Return a complete answer."""

    def opening(self) -> list[Json]:
        """Return the chunks that a stream starts with before any text."""

    def chunk(self, text: str, finish_reason: str | None) -> Json:
        """Return one chunk of a stream."""

    def closing(self, num_prompt: int, num_output: int) -> Json:
        """Return the last chunk of a stream, with the token counts."""
