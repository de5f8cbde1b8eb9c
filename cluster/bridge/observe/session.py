"""A session that watches a Ray cluster through its dashboard's HTTP; it joins, starts and changes nothing."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import aiohttp

from cluster.bridge.events import ClusterSeen, DeploymentsSeen, Event, Progress, ReadingsSeen, SessionLost
from cluster.bridge.inventory_diff import is_worth_sending
from cluster.bridge.observe.answer import parse_nodes
from cluster.bridge.observe.http import get, new_client
from cluster.bridge.observe.watch import ObservedNodes
from cluster.bridge.protocol import to_failure
from cluster.bridge.read_only import ReadOnlySession
from cluster.bridge.session import Listener
from cluster.errors import ClusterviewError, Unreachable
from cluster.inventory import Cluster

_PATH = "/nodes?view=summary"
_LOOK_S = 2.0
"""The dashboard itself answers from a cache of 2 s."""


class ObserveSession(ReadOnlySession):
    """Asks the dashboard at `url` every 2 s; its figures are those of Ray's reporters, of every 5 s.

    Where the first answer fails, the session is lost with the reason. Later failures are reported and tried
    again for as long as it takes.
    """

    refusal = (
        "this cluster is only observed, so nothing can be started or stopped on it",
        "Open it with --address HOST:6379 on one of its nodes",
    )

    gives_details = False
    """Ray's dashboard has no slow figures."""

    def __init__(self, url: str, *, look_s: float = _LOOK_S) -> None:
        self._url, self._look_s = url, look_s
        self._listener: Listener = lambda event: None
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._nodes = ObservedNodes()
        self._sent: Cluster | None = None

    @property
    def title(self) -> str:
        return f"observing {self._url}"

    def start(self, listener: Listener) -> None:
        """Begin to ask, in a thread of its own."""
        self._listener = listener
        threading.Thread(target=self._run, name="observe", daemon=True).start()

    def dismiss(self, node_id: str) -> Future[None]:
        """Forget a dead node."""
        done: Future[None] = Future()
        try:
            with self._lock:
                self._nodes.dismiss(node_id)
        except ClusterviewError as error:
            done.set_exception(error)
            return done
        self._send_news()
        done.set_result(None)
        return done

    def close(self) -> None:
        """Stop asking."""
        self._closing.set()

    def _run(self) -> None:
        self._emit(Progress(message=f"asking Ray's dashboard at {self._url}"))
        try:
            asyncio.run(self._watch())
        except Exception as error:
            failure = to_failure(error)
            self._emit(SessionLost(reason=failure.message, hint=failure.hint, type=failure.type))

    async def _watch(self) -> None:
        async with new_client() as client:
            await self._look(client)
            self._emit(DeploymentsSeen(deployments=()))
            while not await asyncio.to_thread(self._closing.wait, self._look_s):
                try:
                    await self._look(client)
                except Unreachable as error:
                    self._emit(Progress(message=f"{error.message}; trying again", interrupted=True))

    async def _look(self, client: aiohttp.ClientSession) -> None:
        body = await get(client, self._url, _PATH)
        found = parse_nodes(body, self._url)
        with self._lock:
            self._nodes.take(found)
        self._send_news()

    def _send_news(self) -> None:
        with self._lock:
            cluster, readings = self._nodes.cluster(), self._nodes.readings()
            if is_worth_sending(self._sent, cluster, with_texts=True):
                self._sent = cluster
                self._emit(ClusterSeen(cluster=cluster))
            self._emit(ReadingsSeen(nodes=readings))

    def _emit(self, event: Event) -> None:
        if not self._closing.is_set():
            self._listener(event)
