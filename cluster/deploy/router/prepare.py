"""Turns a request's body into a tokenized prompt. Runs in a child process (prepare_process.py).

Parsing, the chat template (untrusted code) and the tokenizer can be slow or use much memory on hostile input,
and must not block the router's event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cluster.deploy.router.answers import AnswerRequest
from cluster.deploy.router.api_errors import ApiError
from cluster.deploy.router.chat_completions import chat_answer_request
from cluster.deploy.router.openai_types import ChatRequest, CompletionRequest, parse
from cluster.deploy.router.replica_pool import SamplingParams
from cluster.deploy.router.request_body import check_num_values
from cluster.deploy.router.router_limits import body_limits
from cluster.deploy.router.text_completions import completion_answer_request
from cluster.deploy.router.tokenizer_protocols import Encoder

Kind = Literal["completion", "chat", "text"]
"""What a body is: a request of the API, or plain text from the prompt screen."""

PARSING = "JSON"
TEMPLATE = "chat template and tokenizer"
TOKENIZER = "tokenizer"


@dataclass(frozen=True, slots=True)
class Settings:
    """What preparing needs to know. `path` is the model's folder, None for dummy weights."""

    model_name: str
    max_model_len: int
    path: str | None
    vocab_size: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """What to generate, and how to send the answer."""

    answer_request: AnswerRequest
    stream: bool = False
    include_usage: bool = False


def prepare(
    kind: Kind, body: bytes, settings: Settings, tokenizer: Encoder, enter: Callable[[str], None]
) -> Prepared:
    """Return what a body asks for; ApiError or BadInput if invalid. Calls `enter` with each step's name."""
    if kind == "text":
        enter(TOKENIZER)
        return _plain(tokenizer.encode(body.decode()), settings)
    enter(PARSING)
    check_num_values(body, body_limits(settings.max_model_len).max_values)
    if kind == "completion":
        completion = parse(CompletionRequest, body)
        _check_model(completion.model, settings)
        enter(TOKENIZER)
        wanted = completion_answer_request(completion, tokenizer, settings.max_model_len)
        return Prepared(wanted, bool(completion.stream), completion.include_usage)
    chat = parse(ChatRequest, body)
    _check_model(chat.model, settings)
    enter(TEMPLATE)
    wanted = chat_answer_request(chat, tokenizer, settings.max_model_len)
    return Prepared(wanted, bool(chat.stream), chat.include_usage)


def _plain(prompt_ids: list[int], settings: Settings) -> Prepared:
    # The prompt screen sets max_tokens itself, and the engine checks it.
    if len(prompt_ids) >= settings.max_model_len:
        message = (
            f"the prompt has {len(prompt_ids)} tokens, "
            f"but this deployment's context is {settings.max_model_len}"
        )
        raise ApiError(400, message, param="prompt", code="context_length_exceeded")
    return Prepared(AnswerRequest(prompt_ids, SamplingParams(max_tokens=1)))


def _check_model(name: str, settings: Settings) -> None:
    check_model(name, settings.model_name)


def check_model(name: str, served: str) -> None:
    """Raise ApiError(404) unless `name` is the served model."""
    if name != served:
        message = f"this deployment serves '{served}', not '{name[:256]}'"
        raise ApiError(404, message, param="model", code="model_not_found")
