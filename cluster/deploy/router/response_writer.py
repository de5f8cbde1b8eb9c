"""The JSON around an answer's text, which differs between completions and chat."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import Any, Protocol

from cluster.deploy.router.answers import Answer

Json = dict[str, Any]


def new_id(prefix: str) -> str:
    """Return a fresh id for an answer."""
    return f"{prefix}-{uuid.uuid4().hex}"


def unix_time() -> int:
    """Return the seconds that answers are stamped with."""
    return int(time.time())


def usage(num_prompt: int, num_output: int) -> Json:
    """Return the token counts of an answer."""
    return {
        "prompt_tokens": num_prompt,
        "completion_tokens": num_output,
        "total_tokens": num_prompt + num_output,
    }


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """What every part of one answer repeats."""

    id: str
    created: int
    model: str

    def with_choices(self, object_name: str, choices: list[Json], **more: Any) -> Json:
        """Return a JSON object of the API around `choices`."""
        return {
            "id": self.id,
            "object": object_name,
            "created": self.created,
            "model": self.model,
            "choices": choices,
            **more,
        }


class ResponseWriter(Protocol):
    """How one kind of answer is written."""

    def whole(self, answer: Answer, num_prompt: int) -> Json:
        """Return a whole answer."""

    def opening(self) -> list[Json]:
        """Return what a stream starts with before any text."""

    def chunk(self, text: str, finish_reason: str | None) -> Json:
        """Return a part of a stream."""

    def closing(self, num_prompt: int, num_output: int) -> Json:
        """Return a stream's last part, which carries the token counts."""
