"""The same metrics under vLLM's names where they mean the same, so that existing dashboards work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from cluster.deploy.router.replica_metrics import PREFIX
from cluster.deploy.router.replica_pool import BalancedReplica, ReplicaPool, ReplicaStats

_VLLM = "vllm:"
_NAMES = {
    "prompt_tokens": ("prompt_tokens",),
    "output_tokens": ("generation_tokens",),
    "request_success": ("request_success",),
    "time_to_first_token_seconds": ("time_to_first_token_seconds",),
    # The second name is that of versions before 0.11.
    "inter_token_latency_seconds": ("inter_token_latency_seconds", "time_per_output_token_seconds"),
    "e2e_request_latency_seconds": ("e2e_request_latency_seconds",),
}
_GAUGES = {
    "num_requests_running": ("running", "Requests in the engine's batch."),
    "num_requests_waiting": ("waiting", "Requests that wait for the engine."),
    "kv_cache_usage_perc": ("kv_cache_use", "Part of the KV cache in use, 0 to 1."),
}
_ENGINE_COUNTERS = {
    "prompt_tokens": "engine_prompt_tokens_total",
    "generation_tokens": "engine_output_tokens_total",
}
_LABELS = ["model_name", "replica"]


class VllmNames(Collector):
    """Repeats what the router observed, and what engines report, as vLLM names it."""

    def __init__(
        self, model_name: str, pool: ReplicaPool[BalancedReplica], observed: Sequence[Collector]
    ) -> None:
        self._model_name, self._pool, self._observed = model_name, pool, observed

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def collect(self) -> Iterator[Metric]:
        stats = {replica.name: replica.stats() for replica in self._pool.replicas()}
        for collector in self._observed:
            for metric in collector.collect():
                short = metric.name.removeprefix(f"{PREFIX}_")
                for name in _NAMES[short]:
                    yield self._renamed(metric, name, _counted_by_engine(stats, name))
        for name, (field, text) in _GAUGES.items():
            gauge = GaugeMetricFamily(_VLLM + name, text, labels=_LABELS)
            for replica, value in _values(stats, field).items():
                gauge.add_metric([self._model_name, replica], value)
            yield gauge

    def _renamed(self, metric: Metric, name: str, by_engine: dict[str, float]) -> Metric:
        """Return the metric under another name; where an engine counts by itself, its count is used."""
        renamed = Metric(_VLLM + name, metric.documentation, metric.type)
        for sample in metric.samples:
            # When a time series was created is no part of vLLM's.
            if sample.labels.get("replica") not in by_engine and not sample.name.endswith("_created"):
                renamed.samples.append(self._sample(sample, metric.name, name))
        for replica, value in by_engine.items():
            labels = {"model_name": self._model_name, "replica": replica}
            renamed.samples.append(Sample(f"{_VLLM}{name}_total", labels, value))
        return renamed

    def _sample(self, sample: Sample, old: str, new: str) -> Sample:
        labels = {"model_name": self._model_name, **sample.labels}
        return sample._replace(name=_VLLM + new + sample.name.removeprefix(old), labels=labels)


def _counted_by_engine(stats: dict[str, ReplicaStats], name: str) -> dict[str, float]:
    return _values(stats, _ENGINE_COUNTERS[name]) if name in _ENGINE_COUNTERS else {}


def _values(stats: dict[str, ReplicaStats], field: str) -> dict[str, float]:
    """Return the replicas that have a value of this field."""
    values = {replica: getattr(one, field) for replica, one in stats.items()}
    return {replica: float(value) for replica, value in values.items() if value is not None}
