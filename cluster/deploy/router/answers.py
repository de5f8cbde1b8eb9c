"""Turns a prompt into text: generated tokens, detokenized, with stop strings applied."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from cluster.deploy.router.api_errors import ApiError, unavailable
from cluster.deploy.router.balancer import Route
from cluster.deploy.router.dispatch import Dispatcher
from cluster.deploy.router.replica_pool import FinishReason, ReplicaError, SamplingParams
from cluster.deploy.router.stop_strings import StopMatcher
from cluster.deploy.router.tokenizer_protocols import Detokenizer


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """What to generate: the prompt, how to sample, and the strings to stop at."""

    prompt_ids: list[int]
    params: SamplingParams
    stops: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TextChunk:
    """The next part of the text, the number of tokens so far and, on the last one, why it ended."""

    text: str
    num_tokens: int
    finish_reason: FinishReason | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer."""

    text: str
    num_tokens: int
    finish_reason: FinishReason


def allowed_tokens(num_prompt: int, wanted: int | None, max_model_len: int) -> int:
    """Return how many tokens may be generated; raise ApiError(400) when they exceed the context."""
    if num_prompt == 0:
        raise ApiError(400, "the prompt is empty", param="prompt")
    room = max_model_len - num_prompt
    if room < 1:
        message = f"the prompt has {num_prompt} tokens, but this deployment's context is {max_model_len}"
        raise ApiError(400, message, param="prompt", code="context_length_exceeded")
    if wanted is not None and wanted > room:
        message = (
            f"{num_prompt} prompt tokens plus max_tokens={wanted} exceed the context of {max_model_len}; "
            f"ask for at most {room}"
        )
        raise ApiError(400, message, param="max_tokens", code="context_length_exceeded")
    return room if wanted is None else wanted


async def text_chunks(
    dispatcher: Dispatcher, tokenizer: Detokenizer, wanted: AnswerRequest, route: Route
) -> AsyncGenerator[TextChunk, None]:
    """Yield text as soon as it cannot be part of a stop string; the last chunk has a finish reason."""
    decoder, matcher, num_tokens = tokenizer.decoder(), StopMatcher(wanted.stops), 0
    async with aclosing(dispatcher.generate(wanted.prompt_ids, wanted.params, route)) as tokens:
        async for token in tokens:
            num_tokens += 1
            # The end-of-text token is not part of the text.
            text = "" if token.finish_reason == "stop" else decoder.push(token.token_id)
            released = matcher.push(text)
            if matcher.stopped:
                yield TextChunk(released, num_tokens, "stop")
                return
            if token.finish_reason is not None:
                rest = matcher.push(decoder.flush())
                finish: FinishReason = "stop" if matcher.stopped else token.finish_reason
                yield TextChunk(released + rest + matcher.flush(), num_tokens, finish)
                return
            yield TextChunk(released, num_tokens)


async def whole_answer(
    dispatcher: Dispatcher, tokenizer: Detokenizer, wanted: AnswerRequest, route: Route
) -> Answer:
    """Return a complete answer. Nothing has been sent yet, so a replica that fails midway is replaced too."""
    while True:
        texts = []
        try:
            async with aclosing(text_chunks(dispatcher, tokenizer, wanted, route)) as chunks:
                async for chunk in chunks:
                    texts.append(chunk.text)
                    if chunk.finish_reason is not None:
                        return Answer("".join(texts), chunk.num_tokens, chunk.finish_reason)
        except ReplicaError:
            # Retry on the remaining replicas; raises 503 when none is left.
            continue
        raise unavailable("the answer ended without a finish reason")
