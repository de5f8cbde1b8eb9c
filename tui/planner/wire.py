"""The messages between the screen and its planning process."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

from cluster.errors import ClusterviewError
from cluster.inventory import Cluster
from cluster.planner.request import PlanRequest
from cluster.planner.result import Plan


@dataclass(frozen=True, slots=True)
class Question:
    """One call of the planner."""

    cluster: Cluster
    model_name: str
    request: PlanRequest


@dataclass(frozen=True, slots=True)
class Planned:
    """The answer."""

    plan: Plan


class PlannerFault(Exception):
    """A bug in the planner, as described by the process where it happened."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Why there is no plan."""

    error: Exception

    @staticmethod
    def by(error: Exception) -> Failed:
        """Wrap an exception; one that cannot be pickled becomes text."""
        if isinstance(error, ClusterviewError):
            try:
                pickle.loads(pickle.dumps(error))
                return Failed(error)
            except Exception:
                return Failed(ClusterviewError(error.message, error.hint))
        return Failed(PlannerFault(f"{type(error).__name__}: {error}"))
