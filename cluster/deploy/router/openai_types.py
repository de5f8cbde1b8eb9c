"""The request types of the OpenAI API, validated field by field.

A field that would change the answer but is not supported is refused, not ignored.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
)

from cluster.deploy.router.api_errors import ApiError
from cluster.deploy.router.replica_pool import SamplingParams

_MOST_STOPS = 4
# Every chunk of text is compared with every prefix of every stop string.
_LONGEST_STOP = 256
_NEUTRAL: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "logprobs": (False, 0),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "response_format": ({"type": "text"},),
}


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


_PROMPT_FORMS = frozenset({"text", "texts", "ids", "id lists"})


def _prompt_form(value: object) -> str:
    """Choose the form by the first element, so that pydantic reports errors of that form only."""
    if not isinstance(value, list):
        return "text"
    if not value or not isinstance(value[0], str | list):
        return "ids"
    if len(value) != 1:
        raise ApiError(
            400,
            "only one prompt per request is supported; send several requests concurrently",
            param="prompt",
        )
    return "texts" if isinstance(value[0], str) else "id lists"


TokenIds = Annotated[list[int], Field(fail_fast=True)]
Prompt = Annotated[
    Annotated[str, Tag("text")]
    | Annotated[list[str], Tag("texts")]
    | Annotated[TokenIds, Tag("ids")]
    | Annotated[list[TokenIds], Tag("id lists")],
    Discriminator(_prompt_form),
]
StopString = Annotated[str, Field(min_length=1, max_length=_LONGEST_STOP)]
StopStrings = Annotated[
    list[StopString], Field(fail_fast=True), Field(max_length=_MOST_STOPS), BeforeValidator(_as_list)
]
Probability = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]
Temperature = Annotated[float, Field(ge=0.0, le=2.0, allow_inf_nan=False)]
TokenCount = Annotated[int, Field(ge=1)]


class StreamOptions(BaseModel):
    """Options of a streamed answer."""

    model_config = ConfigDict(strict=True)

    include_usage: bool = False


class _Request(BaseModel):
    # Fields that do not change the answer (user, metadata, ...) are accepted, as other servers do.
    model_config = ConfigDict(strict=True, extra="allow")

    model: str
    max_tokens: TokenCount | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: StopStrings | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    def model_post_init(self, context: Any) -> None:
        for name, value in (self.model_extra or {}).items():
            if name in _NEUTRAL and value is not None and value not in _NEUTRAL[name]:
                raise ApiError(400, f"'{name}' is not supported; remove it", param=name)

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    def sampling_params(self, max_tokens: int) -> SamplingParams:
        """Return how to sample at most `max_tokens` tokens, with OpenAI's defaults for what is not set."""
        return SamplingParams(
            max_tokens=max_tokens,
            temperature=1.0 if self.temperature is None else self.temperature,
            top_p=1.0 if self.top_p is None else self.top_p,
            seed=self.seed,
        )


class CompletionRequest(_Request):
    """POST /v1/completions."""

    prompt: Prompt

    def single_prompt(self) -> str | list[int]:
        """Return the one prompt, as text or as token ids."""
        if isinstance(self.prompt, str):
            return self.prompt
        if all(isinstance(part, int) for part in self.prompt):
            return [part for part in self.prompt if isinstance(part, int)]
        prompt = self.prompt[0]
        assert not isinstance(prompt, int)
        return prompt


class TextPart(BaseModel):
    """One text part of a message's content."""

    model_config = ConfigDict(strict=True)

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(strict=True)

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Annotated[list[TextPart], Field(fail_fast=True)] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class ChatRequest(_Request):
    """POST /v1/chat/completions."""

    messages: Annotated[list[ChatMessage], Field(fail_fast=True)] = Field(min_length=1)
    max_completion_tokens: TokenCount | None = None

    @field_validator("messages")
    @classmethod
    def _not_empty(cls, messages: list[ChatMessage]) -> list[ChatMessage]:
        if not any(message.text for message in messages):
            raise ValueError("all messages are empty")
        return messages


RequestT = TypeVar("RequestT", bound=_Request)


def parse(request_type: type[RequestT], body: bytes) -> RequestT:
    """Validate a request's body; raise ApiError(400) naming the first invalid field."""
    try:
        return request_type.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"] if part not in _PROMPT_FORMS)
    name = str(first["loc"][0]) if first["loc"] else None
    raise ApiError(400, f"{where or 'the body'}: {first['msg']}", param=name)
