"""From a controller's groups to the status that screens and commands show."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from cluster.deploy.held_process import HeldProcess
from cluster.deploy.measured import facts_of, measured_of
from cluster.deploy.rank_report import EngineFigures, RankReport, deadline_of, shown_state
from cluster.deploy.replica_group import ReplicaGroup
from cluster.deploy.router.traffic import TrafficFigures
from cluster.deploy.router_link import RouterLink
from cluster.deploy.scaling_status import ScalingStatus
from cluster.deploy.spec import DeploymentSpec, RankPlace
from cluster.deploy.status import DeploymentState, DeploymentStatus, RankStatus, ReplicaStatus
from cluster.engines.adapter import EngineMetrics
from cluster.engines.startup import of_replica
from cluster.planner.layout import Layout


def status_of(
    spec: DeploymentSpec,
    groups: Sequence[ReplicaGroup],
    state: DeploymentState,
    reason: str,
    age_s: float,
    router: RouterLink,
    controller_restarts: int,
    scaling: ScalingStatus | None = None,
) -> DeploymentStatus:
    """Return the whole deployment as data."""
    traffic = router.traffic
    replicas = tuple(_replica_status(group, traffic.get(group.replica), spec.layout) for group in groups)
    return DeploymentStatus(
        name=spec.name,
        model=spec.model.name,
        label=spec.label,
        layout=spec.layout,
        state=state,
        reason=reason,
        age_s=age_s,
        endpoint=router.endpoint,
        ranks=tuple(
            _rank_status(place, process, group)
            for group in groups
            for process in group.processes
            for place in process.places
        ),
        replicas=replicas,
        tokens_per_s=sum(replica.tokens_per_s for replica in replicas),
        simulated=spec.simulated,
        scale=spec.model.scale,
        engine=spec.engine,
        is_server=spec.server is not None,
        weights=spec.model.weights,
        remarks=(*spec.remarks, *other_port(spec.router_port, router.endpoint)),
        predicted_tokens_per_s=spec.predicted_tokens_per_s,
        predicted=spec.predicted,
        measured=measured_of(
            replicas,
            [report for group in groups for report in _reports(group)],
            is_server=spec.server is not None,
            simulated=spec.simulated,
        ),
        planned_bytes_by_gpu={
            place.gpu_uuid: place.planned_bytes
            for group in groups
            for place in group.places
            if place.planned_bytes is not None
        },
        router=router.status(),
        controller_restarts=controller_restarts,
        scaling=scaling,
    )


def other_port(asked: int, endpoint: str | None) -> tuple[str, ...]:
    """Return a note if the router listens on another port than requested; () if not, or not yet known."""
    if not asked or endpoint is None or endpoint.endswith(f":{asked}"):
        return ()
    return (f"port {asked} was taken: the router listens on {endpoint.rpartition(':')[2]}",)


def _rank_status(place: RankPlace, process: HeldProcess, group: ReplicaGroup) -> RankStatus:
    report = process.now()
    return RankStatus(
        replica=place.replica,
        stage=place.stage,
        rank=place.rank,
        node_id=place.node_id,
        node_name=place.node_name,
        gpu_index=place.gpu_index,
        gpu_uuid=place.gpu_uuid,
        state=shown_state(report.step, proven=group.proven),
        reason=report.reason,
        progress=report.progress,
        age_s=report.age_s,
        deadline_s=deadline_of(report),
        memory_used_bytes=report.figures.memory_by_gpu.get(place.gpu_uuid, report.figures.memory_used_bytes),
    )


def _reports(group: ReplicaGroup) -> list[RankReport]:
    return [process.report for process in group.processes]


def _replica_status(group: ReplicaGroup, traffic: TrafficFigures | None, layout: Layout) -> ReplicaStatus:
    reports = _reports(group)
    facts = facts_of(reports)
    figures = reports[0].figures
    metrics = figures.metrics or EngineMetrics()
    return ReplicaStatus(
        replica=group.replica,
        ready=group.proven,
        **_served(figures, traffic),
        all_reduces_per_token=figures.all_reduces_per_token,
        all_reduce_share=figures.all_reduce_share,
        restarts=max(0, group.starts - 1),
        last_trouble=group.last_trouble,
        last_trouble_age_s=time.monotonic() - group.last_trouble_at_s if group.last_trouble else None,
        last_log=group.last_log,
        draining=group.draining,
        running=metrics.running,
        waiting=metrics.waiting,
        kv_cache_use=metrics.kv_cache_use,
        prefix_hit_rate=hit_rate(metrics),
        proven_age_s=figures.proven_age_s,
        startup=None if facts is None else of_replica(facts, layout.attention_ranks),
    )


def _served(figures: EngineFigures, traffic: TrafficFigures | None) -> dict[str, Any]:
    """Return what was served to users.

    The built-in engine counts requests and tokens where they leave it, and survives a restart of the router;
    an engine's server counts its own health checks too, so the router's counts hold for it.
    """
    counted = figures if traffic is None or figures.metrics is None else traffic
    return {
        "requests_total": counted.requests_total,
        "in_flight": counted.in_flight,
        "output_tokens_total": counted.output_tokens_total,
        "tokens_per_s": counted.tokens_per_s,
        "ttft_s": figures.ttft_s if traffic is None else traffic.ttft_s,
        "tpot_s": figures.tpot_s if traffic is None else traffic.tpot_s,
    }


def hit_rate(metrics: EngineMetrics) -> float | None:
    """Return the part of the prompt tokens that were found in the prefix cache; None before the first."""
    queries, hits = metrics.prefix_queries_total, metrics.prefix_hits_total
    return hits / queries if queries and hits is not None else None
