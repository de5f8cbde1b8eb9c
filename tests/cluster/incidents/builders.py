"""A small cluster, and what is seen of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cluster.detail import GpuDetail, NodeDetail, NvLinkReading, XidEvent
from cluster.gpu_facts import GpuFacts
from cluster.gpu_health import Finding, Health
from cluster.incidents.incident import Incident
from cluster.inventory import Cluster, Gpu, Node
from cluster.telemetry import GpuReading, NodeReading

START_S = 1_700_000_000.0


def make_cluster(num_nodes: int = 2, gpus: int = 2, health: Health | None = None, **node: Any) -> Cluster:
    """Build nodes 'node-0' ... with GPUs 'GPU-0-0' ...; `node` replaces fields of the first node."""
    nodes = [
        Node(
            node_id=f"id-{number}",
            name=f"node-{number}",
            gpus=tuple(
                Gpu(
                    index=index,
                    uuid=f"GPU-{number}-{index}",
                    type="some GPU",
                    memory_total_bytes=2**30,
                    nvlink_island="0",
                    health=health if (number, index) == (0, 0) else health and Health(),
                    unhealthy_reason=_reason(health) if (number, index) == (0, 0) else None,
                    facts=GpuFacts(max_sm_clock_mhz=1980),
                )
                for index in range(gpus)
            ),
        )
        for number in range(num_nodes)
    ]
    nodes[0] = nodes[0].model_copy(update=node)
    return Cluster(source="ray", nodes=tuple(nodes))


def _reason(health: Health | None) -> str | None:
    return health.findings[0].text if health is not None and health.state == "unhealthy" else None


def reading(node: int = 0, state: str = "ok", reason: str | None = None, **gpu: Any) -> NodeReading:
    """Build a node's reading; `gpu` are fields of its first GPU."""
    fields = {"throttle_reasons": (), **gpu}
    gpus = (GpuReading(uuid=f"GPU-{node}-0", **fields), GpuReading(uuid=f"GPU-{node}-1", throttle_reasons=()))
    return NodeReading(
        node_id=f"id-{node}",
        taken_at_s=START_S,
        state=state,
        reason=reason,
        gpus=gpus,  # type: ignore[arg-type]
    )


def detail(
    up: Sequence[int] = range(4), links: int = 4, xids: Sequence[tuple[int, float]] = ()
) -> NodeDetail:
    """Build slow figures of the first node's first GPU: which links are up, which Xids there were."""
    gpu = GpuDetail(
        uuid="GPU-0-0",
        links=tuple(NvLinkReading(link=number, active=number in up) for number in range(links)),
        xids=tuple(XidEvent(code=code, at_s=at_s) for code, at_s in xids),
    )
    return NodeDetail(node_id="id-0", taken_at_s=START_S, gpus=(gpu,))


def health(*codes: str, state: str = "degraded") -> Health:
    """Build a verdict with these findings."""
    findings = tuple(Finding(code=code, state=state, text=f"{code} text") for code in codes)  # type: ignore[arg-type]
    return Health(state=state if codes else "healthy", findings=findings)  # type: ignore[arg-type]


def said(incidents: Sequence[Incident]) -> list[str]:
    """Return incidents as 'where: text'."""
    return [f"{one.where}: {one.text}" for one in incidents]
