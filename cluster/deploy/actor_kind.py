"""Which actor runs a replica's processes: ranks of the built-in engine, or agents of an engine's server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cluster.deploy.node_agent import NodeAgent
from cluster.deploy.rank_actor import CONCURRENCY, RankActor
from cluster.deploy.rank_report import REPORTS
from cluster.deploy.remote_class import remote_class
from cluster.deploy.spec import DeploymentSpec


@dataclass(frozen=True, slots=True)
class ActorKind:
    """An actor class and how its process is found."""

    actor: type

    @property
    def title(self) -> str:
        """How the command line of its process starts."""
        return f"ray::{self.actor.__name__}"

    def make(self, ray: Any, group: Any) -> Any:
        """Start an actor in a placement group of one GPU."""
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        remote = remote_class(ray, self.actor, ((REPORTS, 1),)).options(
            num_cpus=0,
            num_gpus=1,
            max_restarts=0,
            max_concurrency=CONCURRENCY,
            scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=0),
        )
        return remote.remote()


def actor_kind(spec: DeploymentSpec) -> ActorKind:
    """Return what a deployment's processes run in."""
    return ActorKind(RankActor if spec.server is None else NodeAgent)
