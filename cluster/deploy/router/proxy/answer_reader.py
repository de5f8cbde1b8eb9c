"""Counts the tokens of an answer while it passes, without holding it up."""

from __future__ import annotations

from cluster.deploy.router.proxy.answer_events import AnswerFacts, EventSplitter, read_answer
from cluster.deploy.router.request_watch import RequestWatch

EVENT_STREAM = b"text/event-stream"
_LARGEST_ANSWER_BYTES = 1024**2


class StreamReader:
    """Counts the events of a stream that have text; at the end the engine's own count, if it states one."""

    def __init__(self, watch: RequestWatch) -> None:
        self._watch, self._splitter = watch, EventSplitter()
        self._prompt_tokens = self._output_tokens = 0
        self._reason = "stop"
        self._failed = False

    def feed(self, piece: bytes) -> None:
        """Take in the next bytes of the body."""
        for data in self._splitter.feed(piece):
            facts = read_answer(data)
            if facts.has_text:
                self._watch.token_came()
            self._prompt_tokens = max(self._prompt_tokens, facts.prompt_tokens or 0)
            self._output_tokens = max(self._output_tokens, facts.output_tokens or 0)
            self._reason = facts.finish_reason or self._reason
            self._failed = self._failed or facts.error is not None

    def end(self) -> None:
        """Record a complete answer."""
        self._watch.prompt_tokens(self._prompt_tokens)
        self._watch.tokens_were(self._output_tokens)
        if not self._failed:
            self._watch.finished(self._reason)


class WholeReader:
    """Reads the token counts of an answer that comes as one JSON object; not of a larger one than 1 MiB."""

    def __init__(self, watch: RequestWatch) -> None:
        self._watch, self._body = watch, bytearray()
        self._too_large = False

    def feed(self, piece: bytes) -> None:
        """Take in the next bytes of the body."""
        if len(self._body) + len(piece) > _LARGEST_ANSWER_BYTES:
            self._too_large = True
            self._body.clear()
        if not self._too_large:
            self._body += piece

    def end(self) -> None:
        """Record a complete answer."""
        facts = AnswerFacts() if self._too_large else read_answer(bytes(self._body))
        self._watch.prompt_tokens(facts.prompt_tokens or 0)
        self._watch.tokens_were(facts.output_tokens or 0)
        self._watch.finished(facts.finish_reason or "stop")


AnswerReader = StreamReader | WholeReader


def reader_for(content_type: bytes, watch: RequestWatch) -> AnswerReader:
    """Return what counts an answer of this type."""
    return StreamReader(watch) if content_type.lower().startswith(EVENT_STREAM) else WholeReader(watch)
