"""From a controller's groups to what its router is told."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.deploy.rank_report import EngineFigures, shown_state
from cluster.deploy.replica_group import ReplicaGroup
from cluster.deploy.replica_news import ReplicaNews
from cluster.deploy.router.replica_pool import ReplicaStats
from cluster.deploy.spec import DeploymentSpec
from cluster.engines.adapter import EngineMetrics


def serving_replicas(groups: Sequence[ReplicaGroup]) -> set[int]:
    """Return the replicas that requests go to: those that answer, else all that are ready.

    A moment's silence may mean nothing: no reason to refuse what no other replica can take.
    """
    proven = [group for group in groups if group.proven and not group.draining]
    return {group.replica for group in proven if not group.silence()} or {one.replica for one in proven}


def news_of(group: ReplicaGroup, ready: bool, spec: DeploymentSpec) -> ReplicaNews:
    """Return the report on a replica; `ready`: requests may go there."""
    figures = group.lead.report.figures
    states = tuple(
        str(shown_state(process.report.step, proven=group.proven))
        for process in group.processes
        for _ in process.places
    )
    return ReplicaNews(
        replica=group.replica,
        start=group.starts,
        leader=group.leader,
        ready=ready,
        stats=_stats(figures, states, spec.max_num_seqs),
        endpoint=group.endpoint,
        api_key=group.api_key,
        draining=group.draining,
    )


def _stats(figures: EngineFigures, states: tuple[str, ...], max_num_seqs: int) -> ReplicaStats:
    # The built-in engine runs up to max_num_seqs of its requests at a time, and the others wait.
    running = min(figures.in_flight, max_num_seqs)
    metrics = figures.metrics or EngineMetrics(running=running, waiting=figures.in_flight - running)
    return ReplicaStats(
        requests_total=figures.requests_total,
        output_tokens_total=figures.output_tokens_total,
        all_reduces_per_token=figures.all_reduces_per_token,
        all_reduce_share=figures.all_reduce_share,
        rank_states=states,
        running=metrics.running,
        waiting=metrics.waiting,
        kv_cache_use=metrics.kv_cache_use,
        engine_prompt_tokens_total=metrics.prompt_tokens_total,
        engine_output_tokens_total=metrics.output_tokens_total,
    )
