"""Reads what counts out of answers in the formats that engines serve: OpenAI's and Anthropic's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_LONGEST_EVENT_BYTES = 256 * 1024
_MOST_TOKENS = 10**9
_SEPARATOR = b"\n\n"


@dataclass(frozen=True, slots=True)
class AnswerFacts:
    """What an event of a stream, or a whole answer, says. Token counts are those so far; None: not said."""

    has_text: bool = False
    text: str = ""
    """Of a completion only."""
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    finish_reason: str | None = None
    error: str | None = None


class EventSplitter:
    """Splits a stream into the data of its server-sent events; skips those longer than 256 KiB."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield the data of each event that is now complete."""
        *events, self._rest = (self._rest + piece.replace(b"\r", b"")).split(_SEPARATOR)
        for event in events:
            if not self._skipping:
                yield from (line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:"))
            self._skipping = False
        if len(self._rest) > _LONGEST_EVENT_BYTES:
            # Keep what may be the first half of a separator.
            self._rest, self._skipping = self._rest[-1:], True


def read_answer(data: bytes) -> AnswerFacts:
    """Return what a JSON object says; nothing when it is none."""
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        return AnswerFacts()
    if not isinstance(answer, dict):
        return AnswerFacts()
    usage = _usage(answer)
    choices = [choice for choice in _list(answer.get("choices")) if isinstance(choice, dict)]
    return AnswerFacts(
        has_text=_is_delta(answer) or any(_has_text(choice) for choice in choices),
        text="".join(text for choice in choices if isinstance(text := choice.get("text"), str)),
        prompt_tokens=_count(usage, "prompt_tokens", "input_tokens"),
        output_tokens=_count(usage, "completion_tokens", "output_tokens"),
        finish_reason=_finish_reason(answer, choices),
        error=_error(answer.get("error")),
    )


def _usage(answer: dict[str, Any]) -> dict[str, Any]:
    # Anthropic's first event and OpenAI's responses have it one level down.
    for holder in (answer, answer.get("response"), answer.get("message")):
        if isinstance(holder, dict) and isinstance(usage := holder.get("usage"), dict):
            return usage
    return {}


def _count(usage: dict[str, Any], *names: str) -> int | None:
    for name in names:
        value = usage.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS:
            return value
    return None


def _is_delta(answer: dict[str, Any]) -> bool:
    kind = answer.get("type")
    return isinstance(kind, str) and kind.endswith("delta") and kind != "message_delta"


def _has_text(choice: dict[str, Any]) -> bool:
    delta = choice.get("delta")
    if isinstance(delta, dict):
        return any(value for name, value in delta.items() if name != "role")
    return bool(choice.get("text"))


def _finish_reason(answer: dict[str, Any], choices: list[dict[str, Any]]) -> str | None:
    reasons = [choice.get("finish_reason") for choice in choices]
    delta = answer.get("delta")
    reasons += [delta.get("stop_reason") if isinstance(delta, dict) else None, answer.get("stop_reason")]
    return next((reason for reason in reasons if isinstance(reason, str)), None)


def _error(error: Any) -> str | None:
    if error is None:
        return None
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else "it gives no reason"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
