"""POST /v1/completions: its request as a prompt, and its response format."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.deploy.router.answers import Answer, AnswerRequest, allowed_tokens
from cluster.deploy.router.api_errors import ApiError
from cluster.deploy.router.openai_types import CompletionRequest
from cluster.deploy.router.response_writer import Json, ResponseHead, usage
from cluster.deploy.router.tokenizer_protocols import Encoder

# OpenAI's documented default.
_DEFAULT_MAX_TOKENS = 16
_OBJECT = "text_completion"


def completion_answer_request(
    request: CompletionRequest, tokenizer: Encoder, max_model_len: int
) -> AnswerRequest:
    """Return what to generate for a prompt; raise ApiError(400) when it does not fit the context."""
    prompt = request.single_prompt()
    prompt_ids = tokenizer.encode(prompt) if isinstance(prompt, str) else prompt
    if any(not 0 <= token_id < tokenizer.vocab_size for token_id in prompt_ids):
        message = f"token ids must be from 0 to {tokenizer.vocab_size - 1}"
        raise ApiError(400, message, param="prompt")
    room = allowed_tokens(len(prompt_ids), request.max_tokens, max_model_len)
    return AnswerRequest(
        prompt_ids=prompt_ids,
        params=request.sampling_params(room if request.max_tokens else min(room, _DEFAULT_MAX_TOKENS)),
        stops=tuple(request.stop or ()),
    )


@dataclass(frozen=True, slots=True)
class CompletionWriter:
    """Formats completions."""

    head: ResponseHead

    def whole(self, answer: Answer, num_prompt: int) -> Json:
        """Return a complete completion."""
        choice = _choice(answer.text, answer.finish_reason)
        return self.head.with_choices(_OBJECT, [choice], usage=usage(num_prompt, answer.num_tokens))

    def opening(self) -> list[Json]:
        """Return no chunk: a completion's stream starts with text."""
        return []

    def chunk(self, text: str, finish_reason: str | None) -> Json:
        """Return one chunk of a stream."""
        return self.head.with_choices(_OBJECT, [_choice(text, finish_reason)])

    def closing(self, num_prompt: int, num_output: int) -> Json:
        """Return the last chunk of a stream: token counts and no choices."""
        return self.head.with_choices(_OBJECT, [], usage=usage(num_prompt, num_output))


def _choice(text: str, finish_reason: str | None) -> Json:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}
