"""What every engine that is started as a process provides: the interface of the files in `adapters/`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from cluster.engines import adapters
from cluster.engines.launch import Command, Member, ServerLaunch
from cluster.engines.startup import LogNews
from cluster.errors import BadInput


@dataclass(frozen=True, slots=True)
class ProofRequest:
    """A request for one token, sent to a server to prove that it serves."""

    path: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EngineMetrics:
    """Counters and gauges of one server; None: not in its answer. Histograms are sums and counts."""

    running: int | None = None
    waiting: int | None = None
    kv_cache_use: float | None = None
    """Part of the KV cache in use, 0 to 1."""
    prompt_tokens_total: float | None = None
    output_tokens_total: float | None = None
    requests_total: float | None = None
    prefix_queries_total: float | None = None
    prefix_hits_total: float | None = None
    preemptions_total: float | None = None
    ttft_sum_s: float | None = None
    ttft_count: float | None = None
    tpot_sum_s: float | None = None
    tpot_count: float | None = None


class EngineAdapter(Protocol):
    """One engine. All methods are pure."""

    @property
    def name(self) -> str:
        """As in `--engine` and cluster/catalog/engines."""

    @property
    def distributions(self) -> tuple[str, ...]:
        """Names under which its package metadata may be installed, most usual first."""

    @property
    def cleans(self) -> tuple[str, ...]:
        """Prefixes of environment variables of its own that must not be inherited from the node."""

    def refusal(self, launch: ServerLaunch, members: tuple[Member, ...], version: str) -> str:
        """Return in one line why this version cannot run these members; '' if it can."""

    def command(self, launch: ServerLaunch, member: Member, version: str, python: str) -> Command:
        """Return the command that starts a member with this interpreter."""

    def printed_command(self, launch: ServerLaunch, member: Member, version: str) -> Command:
        """Return the command as a person types it: the engine's own program instead of an interpreter."""

    def read_line(self, line: str) -> LogNews | None:
        """Return what a line of the server's output says; None: nothing that matters here."""

    def proof(self, served_name: str) -> ProofRequest:
        """Return the request whose answer proves that the server generates."""

    def has_token(self, answer: Mapping[str, Any]) -> bool:
        """Return whether the JSON answer to `proof` holds a generated token."""

    def read_metrics(self, text: str) -> EngineMetrics:
        """Read the server's /metrics (Prometheus text)."""


@cache
def adapter_names() -> tuple[str, ...]:
    """Return the engines that can be started as processes, sorted: one per file in `adapters/`.

    A name with a hyphen has an underscore in its file's name.
    """
    names = (module.name.replace("_", "-") for module in pkgutil.iter_modules(adapters.__path__))
    return tuple(sorted(names))


def load_adapter(name: str) -> EngineAdapter:
    """Return an engine's adapter; BadInput names those there are."""
    if name not in adapter_names():
        raise BadInput(f"no engine named {name} can be started", f"Known: {', '.join(adapter_names())}")
    adapter: EngineAdapter = importlib.import_module(f"{adapters.__name__}.{name.replace('-', '_')}").ENGINE
    return adapter
