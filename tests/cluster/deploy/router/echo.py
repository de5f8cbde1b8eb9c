"""A byte-level tokenizer, and replicas that generate their prompt again, byte by byte."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncIterator, Iterator, Sequence

from cluster.deploy.router.replica_pool import (
    FinishReason,
    GeneratedToken,
    ReplicaError,
    ReplicaStats,
    SamplingParams,
)
from cluster.errors import BadInput

END = 256


class ByteDecoder:
    """Decodes UTF-8 byte by byte."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_id: int) -> str:
        return self._decoder.decode(bytes([token_id]))

    def flush(self) -> str:
        return self._decoder.decode(b"", True)


class ByteTokenizer:
    """One token per byte."""

    def decoder(self) -> ByteDecoder:
        return ByteDecoder()


class EchoReplica:
    """Generates its prompt again, then the end token. Can be set to fail, to wait, or to be unready."""

    def __init__(
        self, name: str, *, fail_at: int | None = None, pace_s: float = 0.0, repeats: int = 1
    ) -> None:
        self.name, self.fail_at, self.pace_s = name, fail_at, pace_s
        self.repeats = repeats
        self.ready = True
        self.in_flight = 0
        self.requests_total = 0
        self.output_tokens_total = 0
        self.cancelled = 0
        self.health_error: str | None = None
        self.refuses: str | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.params: list[SamplingParams] = []

    async def generate(self, prompt_ids: list[int], params: SamplingParams) -> AsyncIterator[GeneratedToken]:
        if self.refuses is not None:
            raise BadInput(self.refuses)
        self.in_flight += 1
        self.requests_total += 1
        self.params.append(params)
        finished = False
        try:
            for number, token_id in enumerate(self._tokens(prompt_ids), start=1):
                await self.gate.wait()
                await asyncio.sleep(self.pace_s)
                if self.fail_at is not None and number > self.fail_at:
                    raise ReplicaError(f"rank 1 of replica {self.name} is gone")
                last: FinishReason | None = (
                    "stop" if token_id == END else "length" if number == params.max_tokens else None
                )
                self.output_tokens_total += 1
                finished = last is not None
                yield GeneratedToken(token_id, last)
                if last:
                    return
        finally:
            self.in_flight -= 1
            self.cancelled += not finished

    def _tokens(self, prompt_ids: list[int]) -> Iterator[int]:
        for _ in range(self.repeats):
            yield from prompt_ids
        yield END

    def stats(self) -> ReplicaStats:
        return ReplicaStats(
            requests_total=self.requests_total,
            output_tokens_total=self.output_tokens_total,
            all_reduces_per_token=4.0,
            all_reduce_share=0.25,
            rank_states=("ready", "ready") if self.ready else ("ready", "loading"),
        )

    async def health(self, deadline_s: float) -> None:
        await self.gate.wait()
        if self.health_error is not None:
            raise ReplicaError(self.health_error)


class EchoPool:
    """The replicas given."""

    def __init__(self, *members: EchoReplica) -> None:
        self.members = members

    def replicas(self) -> Sequence[EchoReplica]:
        return self.members
