"""One answer: from a request's prompt to pieces of text with stop strings applied."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from cluster.deploy.router.api_errors import ApiError, unavailable
from cluster.deploy.router.dispatch import Dispatcher, Route
from cluster.deploy.router.replica_pool import FinishReason, ReplicaError, SamplingParams
from cluster.deploy.router.stop_strings import StopMatcher
from cluster.deploy.router.tokenizer_protocols import Tokenizer


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """What to generate."""

    prompt_ids: list[int]
    params: SamplingParams
    stops: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TextChunk:
    """A chunk of the text, the tokens so far, and at the end the reason for it."""

    text: str
    num_tokens: int
    finish_reason: FinishReason | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    text: str
    num_tokens: int
    finish_reason: FinishReason


def allowed_tokens(num_prompt: int, wanted: int | None, max_model_len: int) -> int:
    """Return how many tokens may be generated; raise ApiError(400) when the context cannot hold them."""
    if num_prompt == 0:
        raise ApiError(400, "the prompt is empty", param="prompt")
    room = max_model_len - num_prompt
    if room < 1:
        message = f"the prompt has {num_prompt} tokens; this deployment's context holds {max_model_len}"
        raise ApiError(400, message, param="prompt", code="context_length_exceeded")
    if wanted is not None and wanted > room:
        message = (
            f"{num_prompt} prompt tokens and max_tokens={wanted} exceed the context of {max_model_len}; "
            f"ask for at most {room}"
        )
        raise ApiError(400, message, param="max_tokens", code="context_length_exceeded")
    return room if wanted is None else wanted


async def text_chunks(
    dispatcher: Dispatcher, tokenizer: Tokenizer, wanted: AnswerRequest, route: Route
) -> AsyncGenerator[TextChunk, None]:
    """Yield an answer's text as soon as it is certain; the last chunk has a finish reason."""
    decoder, matcher, num_tokens = tokenizer.decoder(), StopMatcher(wanted.stops), 0
    async with aclosing(dispatcher.generate(wanted.prompt_ids, wanted.params, route)) as tokens:
        async for token in tokens:
            num_tokens += 1
            # The token that ends the text is no part of it.
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
    dispatcher: Dispatcher, tokenizer: Tokenizer, wanted: AnswerRequest, route: Route
) -> Answer:
    """Return an answer in one. As nothing was sent yet, a replica that fails halfway is replaced too."""
    while True:
        texts = []
        try:
            async with aclosing(text_chunks(dispatcher, tokenizer, wanted, route)) as chunks:
                async for chunk in chunks:
                    texts.append(chunk.text)
                    if chunk.finish_reason is not None:
                        return Answer("".join(texts), chunk.num_tokens, chunk.finish_reason)
        except ReplicaError:
            # The next round asks the replicas that are left, and ends in 503 when there are none.
            continue
        raise unavailable("the answer ended without a reason")
