"""From a layout on screen to the order that is sent to the cluster, and what speaks against it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

from cluster.deploy.engine_in_use import EngineInUse
from cluster.deploy.spec import DeploymentSpec
from cluster.planner.result import Candidate, Plan

SpecFunction = Callable[[Plan, Candidate, tuple[str, ...]], DeploymentSpec]
"""(plan, candidate, names of the deployments that exist) -> order. Runs in a worker thread."""


def load_order_code() -> None:
    """Import what `engine_of` and `not_runnable` need: tenths of a second the first time, so in a thread."""
    import cluster.deploy.order  # noqa: F401


def order_now(
    plan: Plan,
    candidate: Candidate,
    taken_names: tuple[str, ...],
    engine_pythons: Mapping[str, str] = MappingProxyType({}),
) -> DeploymentSpec:
    """Turn a layout into an order, with the time and the API key of this moment."""
    from cluster.deploy.api_keys import hashed_keys
    from cluster.deploy.order import OrderTerms, make_order

    terms = OrderTerms(time.time(), taken_names, api_key_sha256=hashed_keys(), engine_pythons=engine_pythons)
    return make_order(plan, candidate, terms)


def engine_of(plan: Plan) -> EngineInUse:
    """Return the engine that would run a layout of this plan, beside the one it was planned for."""
    from cluster.deploy.order import engine_for

    return engine_for(plan)


def not_runnable(plan: Plan | None, candidate: Candidate | None) -> str:
    """Say why a feasible layout cannot be deployed; '' where nothing is known against it."""
    from cluster.deploy.order import why_not_runnable

    if plan is None or candidate is None or not candidate.feasible:
        return ""
    error = why_not_runnable(plan, candidate)
    return "" if error is None else error.one_line()
