"""The actor that serves a deployment's HTTP on loopback and spreads requests over its replicas' leaders."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from cluster.deploy.controller_watch import ControllerWatch
from cluster.deploy.rank_actor import Token
from cluster.deploy.router.replica_pool import (
    GeneratedToken,
    Replica,
    ReplicaError,
    ReplicaStats,
    SamplingParams,
)
from cluster.deploy.spec import DeploymentSpec
from cluster.errors import BadInput, Unreachable

_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class ReplicaNews:
    """The controller's report on a replica. `start` changes when its processes are new."""

    replica: int
    start: int
    leader: Any
    ready: bool
    stats: ReplicaStats
    endpoint: str | None = None
    """Base URL of an engine's own server; None: the built-in engine, reached through `leader`."""
    api_key: str | None = field(default=None, repr=False)
    """Key that the server at `endpoint` asks for."""
    draining: bool = False
    """It takes no new requests."""


class RayReplica:
    """A replica behind its leader's actor. One stream brings the tokens of all its requests."""

    def __init__(self, news: ReplicaNews) -> None:
        self._news = news
        self._ids = itertools.count(1)
        self._queues: dict[str, asyncio.Queue[Token]] = {}
        self._broken: str | None = None
        self._pump: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return str(self._news.replica)

    @property
    def start(self) -> int:
        return self._news.start

    @property
    def ready(self) -> bool:
        return self._news.ready and self._broken is None

    @property
    def in_flight(self) -> int:
        return len(self._queues)

    def stats(self) -> ReplicaStats:
        return self._news.stats

    def update(self, news: ReplicaNews) -> None:
        """Apply an update on the same start."""
        self._news = news

    async def health(self, deadline_s: float) -> None:
        try:
            await asyncio.wait_for(_ignore(self._news.leader.prove.remote(deadline_s)), deadline_s + 1.0)
        except TimeoutError:
            raise ReplicaError(f"no token came through all ranks within {deadline_s:.0f} s") from None
        except Exception as error:
            raise ReplicaError(_last_line(error)) from error

    async def generate(self, prompt_ids: list[int], params: SamplingParams) -> AsyncIterator[GeneratedToken]:
        if self._broken is not None:
            raise ReplicaError(self._broken)
        if self._pump is None:
            self._pump = asyncio.create_task(self._pump_tokens())
        request_id = f"r{next(self._ids)}"
        queue = self._queues[request_id] = asyncio.Queue()
        finished = False
        try:
            await self._submit(request_id, prompt_ids, params)
            while not finished:
                _, token_id, finished, reason, error = await queue.get()
                if error is not None or reason in ("error", "cancelled"):
                    raise ReplicaError(error or f"the answer was {reason}")
                if token_id is not None:
                    yield GeneratedToken(
                        token_id, "stop" if reason == "stop" else "length" if finished else None
                    )
        finally:
            self._queues.pop(request_id, None)
            if not finished and self._broken is None:
                self._news.leader.cancel.remote(request_id)

    async def _submit(self, request_id: str, prompt_ids: list[int], params: SamplingParams) -> None:
        try:
            await self._news.leader.submit.remote(
                request_id, prompt_ids, params.max_tokens, params.temperature, params.top_p, params.seed
            )
        except Exception as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, BadInput):
                raise BadInput(cause.message, cause.hint) from None
            raise ReplicaError(_last_line(error)) from error

    async def _pump_tokens(self) -> None:
        try:
            stream = self._news.leader.tokens.options(num_returns="streaming").remote()
            async for batch in stream:
                for token in await batch:
                    if (queue := self._queues.get(token[0])) is not None:
                        queue.put_nowait(token)
            self.abandon("its token stream ended")
        except Exception as error:
            self.abandon(_last_line(error))

    def abandon(self, reason: str) -> None:
        """Fail every open request: the processes behind this replica are gone."""
        self._broken = reason
        for request_id, queue in self._queues.items():
            queue.put_nowait((request_id, None, True, "error", reason))
        if self._pump is not None:
            self._pump.cancel()


class RayPool:
    """The replicas as last reported by the controller."""

    def __init__(self) -> None:
        self._replicas: dict[int, RayReplica] = {}

    def replicas(self) -> Sequence[Replica]:
        return list(self._replicas.values())

    def update(self, news: Sequence[ReplicaNews]) -> None:
        """Apply the controller's update; a restarted replica counts as a new one."""
        for item in news:
            known = self._replicas.get(item.replica)
            if known is not None and known.start == item.start:
                known.update(item)
                continue
            if known is not None:
                known.abandon("the replica is restarting")
            self._replicas[item.replica] = RayReplica(item)


class RouterActor:
    """HTTP on loopback, and prompts from screens."""

    def __init__(self, spec: DeploymentSpec, controller_pid: int, gcs_address: str) -> None:
        from cluster.deploy.router.access import AccessRules
        from cluster.deploy.router.http_app import make_app
        from cluster.deploy.router.prepare import Settings
        from cluster.deploy.router.preparer import Preparer
        from cluster.deploy.router.router_tokenizer import RouterTokenizer
        from cluster.runtime.weight_source import weights_folder

        vocab_size = int(spec.model.config["vocab_size"])
        self._pool = RayPool()
        source = spec.model
        folder = None if source.without_tokenizer else weights_folder(source, with_weights=False)
        self._tokenizer = RouterTokenizer(folder, vocab_size)
        self._preparer = Preparer(Settings(source.name, spec.max_model_len, folder, vocab_size))
        self._preparer.warm_up()
        self._app = make_app(
            self._pool,
            preparer=self._preparer,
            tokenizer=self._tokenizer,
            rules=AccessRules(spec.api_key_sha256, spec.allowed_hosts),
        )
        self._serving: asyncio.Task[None] | None = None
        self._controller = ControllerWatch(controller_pid, gcs_address)

    async def serve(self, port: int) -> int:
        """Listen on loopback, on `port` if that is free (0: any); return the port."""
        from cluster.deploy.router.router_limits import connection_limits
        from cluster.deploy.router.server import RouterServer, listening_socket

        limits = connection_limits()
        listener = listening_socket(_LOOPBACK, port, limits)
        server = RouterServer(self._app, limits, self._preparer.limits.max_bytes)
        self._serving = asyncio.create_task(server.serve(sockets=[listener]))
        return int(listener.getsockname()[1])

    async def update(self, news: list[ReplicaNews]) -> None:
        """Take in the replicas as they are now."""
        self._controller.hear()
        self._pool.update(news)

    async def drain(self, deadline_s: float) -> bool:
        """Take no more requests; True when all in flight have ended in time."""
        return bool(await self._app.state.dispatcher.drain(deadline_s))

    async def prompt(self, text: str, max_tokens: int) -> AsyncIterator[tuple[str, int | None]]:
        """Yield the answer to a prompt piece by piece, each with the replica it comes from."""
        from cluster.deploy.router.dispatch import Route

        route, decoder = Route(), self._tokenizer.decoder()
        params = SamplingParams(max_tokens=max_tokens, temperature=0.0)
        with _errors_without_http():
            prepared = await self._preparer.prepare("text", text.encode("utf-8", "replace"))
            tokens = self._app.state.dispatcher.generate(prepared.answer_request.prompt_ids, params, route)
            async for token in tokens:
                replica = None if route.replica is None else int(route.replica)
                piece = "" if token.finish_reason == "stop" else decoder.push(token.token_id)
                yield piece, replica
        yield decoder.flush(), None if route.replica is None else int(route.replica)


@contextlib.contextmanager
def _errors_without_http() -> Iterator[None]:
    """Turn errors of the HTTP side into those that screens show."""
    from cluster.deploy.router.api_errors import ApiError

    try:
        yield
    except ApiError as error:
        kind = BadInput if error.status < 500 else Unreachable
        raise kind(error.message) from None


async def _ignore(ref: Any) -> None:
    await ref


def _last_line(error: Exception) -> str:
    cause = getattr(error, "cause", None)
    message = getattr(cause, "message", None)
    if isinstance(message, str) and message:
        return message
    lines = []
    with contextlib.suppress(Exception):
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
