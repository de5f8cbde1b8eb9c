"""POST /v1/chat/completions: its request as a prompt, and its response format."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.deploy.router.answers import Answer, AnswerRequest, allowed_tokens
from cluster.deploy.router.openai_types import ChatRequest
from cluster.deploy.router.response_writer import Json, ResponseHead, usage
from cluster.deploy.router.tokenizer_protocols import Encoder

_WHOLE = "chat.completion"
_PART = "chat.completion.chunk"


def chat_answer_request(request: ChatRequest, tokenizer: Encoder, max_model_len: int) -> AnswerRequest:
    """Return what to generate for a conversation; raise ApiError(400) when it does not fit the context."""
    prompt_ids = tokenizer.encode_chat([(message.role, message.text) for message in request.messages])
    wanted = request.max_completion_tokens or request.max_tokens
    return AnswerRequest(
        prompt_ids=prompt_ids,
        params=request.sampling_params(allowed_tokens(len(prompt_ids), wanted, max_model_len)),
        stops=tuple(request.stop or ()),
    )


@dataclass(frozen=True, slots=True)
class ChatWriter:
    """Formats chat completions."""

    head: ResponseHead

    def whole(self, answer: Answer, num_prompt: int) -> Json:
        """Return a complete chat completion."""
        message = {"role": "assistant", "content": answer.text, "refusal": None}
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": answer.finish_reason,
        }
        return self.head.with_choices(_WHOLE, [choice], usage=usage(num_prompt, answer.num_tokens))

    def opening(self) -> list[Json]:
        """Return the first chunk of a stream, which carries the role."""
        return [self._part({"role": "assistant", "content": ""}, None)]

    def chunk(self, text: str, finish_reason: str | None) -> Json:
        """Return one chunk of a stream."""
        return self._part({"content": text} if text else {}, finish_reason)

    def closing(self, num_prompt: int, num_output: int) -> Json:
        """Return the last chunk of a stream: token counts and no choices."""
        return self.head.with_choices(_PART, [], usage=usage(num_prompt, num_output))

    def _part(self, delta: Json, finish_reason: str | None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self.head.with_choices(_PART, [choice])
