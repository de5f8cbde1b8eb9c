"""The shapes of answers: completions and chats, whole and in chunks, as vLLM gives them."""

from __future__ import annotations

import json
import time
from typing import Any, Protocol

from fake_server.http_server import Answer, json_answer


class Form(Protocol):
    """The shape of one path's answers."""

    def whole(self, model: str, texts: list[str], body: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a request that is not streamed."""

    def opening(self, model: str) -> list[dict[str, Any]]:
        """Return the chunks before the first token."""

    def chunk(self, model: str, text: str, is_last: bool) -> dict[str, Any]:
        """Return the chunk of one token."""


class CompletionForm:
    """/v1/completions"""

    def whole(self, model: str, texts: list[str], body: dict[str, Any]) -> dict[str, Any]:
        wanted = body.get("logprobs")
        choices = [
            {**_choice(number, "length"), "text": text, "logprobs": _logprobs(text) if wanted else None}
            for number, text in enumerate(texts)
        ]
        return {**_head("cmpl-fake", "text_completion", model), "choices": choices}

    def opening(self, model: str) -> list[dict[str, Any]]:
        return []

    def chunk(self, model: str, text: str, is_last: bool) -> dict[str, Any]:
        choice = {**_choice(0, "length" if is_last else None), "text": text, "logprobs": None}
        return {**_head("cmpl-fake", "text_completion", model), "choices": [choice]}


class ChatForm:
    """/v1/chat/completions"""

    def whole(self, model: str, texts: list[str], body: dict[str, Any]) -> dict[str, Any]:
        choices = [
            {
                **_choice(number, _reason(body)),
                "message": _message(text, body),
                "logprobs": _chat_logprobs(body),
            }
            for number, text in enumerate(texts)
        ]
        return {**_head("chatcmpl-fake", "chat.completion", model), "choices": choices}

    def opening(self, model: str) -> list[dict[str, Any]]:
        return [self._chunk(model, {"role": "assistant", "content": ""}, None)]

    def chunk(self, model: str, text: str, is_last: bool) -> dict[str, Any]:
        return self._chunk(model, {"content": text}, "length" if is_last else None)

    def _chunk(self, model: str, delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
        choice = {**_choice(0, reason), "delta": delta, "logprobs": None}
        return {**_head("chatcmpl-fake", "chat.completion.chunk", model), "choices": [choice]}


def _head(name: str, kind: str, model: str) -> dict[str, Any]:
    return {"id": name, "object": kind, "created": int(time.time()), "model": model}


def _choice(number: int, reason: str | None) -> dict[str, Any]:
    return {"index": number, "finish_reason": reason, "stop_reason": None}


def _reason(body: dict[str, Any]) -> str:
    return "tool_calls" if body.get("tools") else "length"


def _message(text: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return a message that shows that tools and response_format arrived."""
    if body.get("tools"):
        function = {"name": body["tools"][0]["function"]["name"], "arguments": "{}"}
        call = {"id": "call-fake", "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    if (body.get("response_format") or {}).get("type") in ("json_object", "json_schema"):
        return {"role": "assistant", "content": json.dumps({"text": text})}
    return {"role": "assistant", "content": text}


def _logprobs(text: str) -> dict[str, Any]:
    tokens = [f" {token}" for token in text.split()]
    return {
        "tokens": tokens,
        "token_logprobs": [-0.5] * len(tokens),
        "top_logprobs": [{token: -0.5} for token in tokens],
        "text_offset": list(range(len(tokens))),
    }


def _chat_logprobs(body: dict[str, Any]) -> dict[str, Any] | None:
    if not body.get("logprobs"):
        return None
    return {"content": [{"token": " t0", "logprob": -0.5, "bytes": list(b" t0"), "top_logprobs": []}]}


def usage(num_prompt: int, num_output: int) -> dict[str, Any]:
    """Return the field `usage`."""
    total = num_prompt + num_output
    return {"prompt_tokens": num_prompt, "total_tokens": total, "completion_tokens": num_output}


def error_answer(status: int, message: str, kind: str = "BadRequestError") -> Answer:
    """Return an error in vLLM's form."""
    return json_answer({"error": {"message": message, "type": kind, "param": None, "code": status}}, status)
