"""What the router and its replicas do, as Prometheus reads it."""

from __future__ import annotations

from collections import Counter as CountOf
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cluster.deploy.router.replica_pool import ReplicaPool

_FIRST_TOKEN_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_NEXT_TOKEN_BUCKETS_S = (0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.5)
_PREFIX = "clusterview"


class RouterMetrics:
    """Counters of one router, in a registry of its own."""

    def __init__(self, pool: ReplicaPool) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter("requests", "Requests sent to a replica.")
        self._failures = self._counter("replica_failures", "Times a replica failed and was set aside.")
        self._prompt_tokens = self._counter("prompt_tokens", "Prompt tokens sent to a replica.")
        self._output_tokens = self._counter("output_tokens", "Tokens that came from a replica.")
        self._first_token = self._histogram(
            "time_to_first_token_seconds",
            "From sending a request to a replica to its first token (TTFT).",
            _FIRST_TOKEN_BUCKETS_S,
        )
        self._next_token = self._histogram(
            "inter_token_latency_seconds",
            "Between two tokens of one answer (ITL).",
            _NEXT_TOKEN_BUCKETS_S,
        )
        self._responses = Counter(
            "responses", "Answers by HTTP status.", ("status",), namespace=_PREFIX, registry=self.registry
        )
        self._cancelled = Counter(
            "cancelled", "Requests whose client went away.", namespace=_PREFIX, registry=self.registry
        )
        self.registry.register(_ReplicaCollector(pool))

    def _counter(self, name: str, documentation: str) -> Counter:
        return Counter(name, documentation, ("replica",), namespace=_PREFIX, registry=self.registry)

    def _histogram(self, name: str, documentation: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(
            name, documentation, ("replica",), namespace=_PREFIX, registry=self.registry, buckets=buckets
        )

    def request_began(self, replica: str, num_prompt_tokens: int) -> None:
        """Book a request sent to a replica."""
        self._requests.labels(replica).inc()
        self._prompt_tokens.labels(replica).inc(num_prompt_tokens)

    def token_came(self, replica: str, since_s: float, *, first: bool) -> None:
        """Book a token and how long it took since the request, or since the token before."""
        self._output_tokens.labels(replica).inc()
        (self._first_token if first else self._next_token).labels(replica).observe(since_s)

    def replica_failed(self, replica: str) -> None:
        """Book a replica's failure."""
        self._failures.labels(replica).inc()

    def responded(self, status: int) -> None:
        """Book an answer."""
        self._responses.labels(str(status)).inc()

    def client_left(self) -> None:
        """Book a request that nobody waits for any more."""
        self._cancelled.inc()

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)


class _ReplicaCollector(Collector):
    """Asks the replicas at each scrape, so that nothing is shown that is no longer so."""

    def __init__(self, pool: ReplicaPool) -> None:
        self._pool = pool

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def collect(self) -> Iterator[Metric]:
        ready = _gauge("replica_ready", "1 when a replica takes requests.", "replica")
        in_flight = _gauge("requests_in_flight", "Requests that a replica holds.", "replica")
        share = _gauge("all_reduce_share", "Part of the decode time spent in all-reduces.", "replica")
        per_token = _gauge("all_reduces_per_token", "All-reduces for each decoded token.", "replica")
        ranks = _gauge("ranks", "Ranks by state.", "replica", "state")
        generated = CounterMetricFamily(
            f"{_PREFIX}_replica_output_tokens", "Tokens that a replica made.", labels=["replica"]
        )
        for replica in self._pool.replicas():
            labels, stats = [replica.name], replica.stats()
            ready.add_metric(labels, float(replica.ready))
            in_flight.add_metric(labels, replica.in_flight)
            generated.add_metric(labels, stats.output_tokens_total)
            if stats.all_reduce_share is not None:
                share.add_metric(labels, stats.all_reduce_share)
            if stats.all_reduces_per_token is not None:
                per_token.add_metric(labels, stats.all_reduces_per_token)
            for state, count in sorted(CountOf(stats.rank_states).items()):
                ranks.add_metric([replica.name, state], count)
        yield from (ready, in_flight, share, per_token, ranks, generated)


def _gauge(name: str, documentation: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{_PREFIX}_{name}", documentation, labels=labels)
