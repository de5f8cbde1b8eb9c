"""Prometheus text of a cluster as it is now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from cluster.metrics.gpu_families import Labels, family, gpu_families
from cluster.metrics.live_state import LiveState, NodeNow

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_HOST_FIGURES = (
    ("cpu_percent", "cpu_percent", "CPU use of all cores together (in %)."),
    ("num_cpus", "cpus", "CPU cores."),
    ("load_1m", "load1", "Load average over one minute."),
    ("memory_total_bytes", "memory_total_bytes", "Memory of the machine."),
    ("memory_available_bytes", "memory_available_bytes", "Memory that programs can still get."),
    ("disk_total_bytes", "disk_total_bytes", "Size of the file system of the model cache."),
    ("disk_free_bytes", "disk_free_bytes", "Free space there."),
    ("network_received_bytes_per_s", "network_received_bytes_per_second", "Bytes received per second."),
    ("network_sent_bytes_per_s", "network_sent_bytes_per_second", "Bytes sent per second."),
)
_PORT_FIGURES = (
    ("is_up", "up", "1 where the port is up.", False),
    ("link_bytes_per_s", "link_bytes_per_second", "Rate of the port.", False),
    ("received_bytes_per_s", "received_bytes_per_second", "Bytes received per second.", False),
    ("sent_bytes_per_s", "sent_bytes_per_second", "Bytes sent per second.", False),
    ("errors", "errors_total", "Errors that the port has counted.", True),
)


def metrics_text(live: LiveState) -> bytes:
    """Return all metrics in Prometheus' text format."""
    return generate_latest(_Families(live))


class _Families(Collector):
    """What `generate_latest` goes through."""

    def __init__(self, live: LiveState) -> None:
        self._live = live

    def collect(self) -> Iterator[Metric]:
        nodes = list(self._live.nodes())
        yield from gpu_families(nodes)
        yield from _node_families(nodes)
        yield from _host_families(nodes)
        yield from _port_families(nodes)
        yield from _deployment_families(self._live)
        text = "1 where the cluster is simulated, so that no figure is measured."
        yield family("clusterview_simulated", text, [({}, float(self._live.cluster.simulated))])


def _of(node: NodeNow) -> Labels:
    return {"Hostname": node.node.name, "node_id": node.node.node_id}


def _node_families(nodes: Iterable[NodeNow]) -> Iterator[Metric]:
    up = [({**_of(node), "state": node.state}, float(node.is_fresh)) for node in nodes]
    yield family("clusterview_node_up", "1 where the node answers; `state` says what it is otherwise.", up)
    ages = [(_of(node), node.age_s) for node in nodes if node.age_s is not None]
    yield family("clusterview_node_reading_age_seconds", "Age of the node's last reading.", ages)


def _host_families(nodes: Iterable[NodeNow]) -> Iterator[Metric]:
    hosts = [
        (_of(node), node.reading.host)
        for node in nodes
        if node.is_fresh and node.reading is not None and node.reading.host is not None
    ]
    for field, name, text in _HOST_FIGURES:
        found = [
            (labels, float(value)) for labels, host in hosts if (value := getattr(host, field)) is not None
        ]
        if found:
            yield family(f"clusterview_host_{name}", text, found)


def _port_families(nodes: Iterable[NodeNow]) -> Iterator[Metric]:
    ports = [
        ({**_of(node), "port": port.name, "kind": port.kind}, port)
        for node in nodes
        if node.detail is not None and node.detail_is_fresh
        for port in node.detail.ports
    ]
    for field, name, text, is_counter in _PORT_FIGURES:
        found = [
            (labels, float(value)) for labels, port in ports if (value := getattr(port, field)) is not None
        ]
        if found:
            yield family(f"clusterview_port_{name}", text, found, is_counter=is_counter)


def _deployment_families(live: LiveState) -> Iterator[Metric]:
    if not live.deployments:
        return
    states: list[tuple[Labels, float]] = []
    replicas: list[tuple[Labels, float]] = []
    ready: list[tuple[Labels, float]] = []
    rates: list[tuple[Labels, float]] = []
    for status in live.deployments:
        labels = {"deployment": status.name, "model": status.model}
        states.append(({**labels, "state": str(status.state)}, 1.0))
        replicas.append((labels, float(len(status.replicas))))
        ready.append((labels, float(sum(one.ready for one in status.replicas))))
        rates.append((labels, status.tokens_per_s))
    yield family("clusterview_deployment_state", "1 for the state of the deployment.", states)
    yield family("clusterview_deployment_replicas", "Replicas of the deployment.", replicas)
    yield family("clusterview_deployment_replicas_ready", "Replicas that accept requests.", ready)
    yield family("clusterview_deployment_tokens_per_second", "Tokens per second of users' requests.", rates)
