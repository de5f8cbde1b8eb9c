"""One planner call by model name: what runs in the planning process."""

from __future__ import annotations

from collections.abc import Callable

from cluster.inventory import Cluster
from cluster.planner.request import PlanRequest
from cluster.planner.result import Plan

PlanFunction = Callable[[Cluster, str, PlanRequest], Plan]
"""(cluster, model name or path, request) -> plan; raises ClusterviewError. Called in a worker thread."""


def plan_with_catalog(cluster: Cluster, model_name: str, request: PlanRequest) -> Plan:
    """Resolve a model's name or path and plan it, for the engine that a deployment here would run."""
    from cluster.catalog.models import load_model
    from cluster.deploy.engine_choice import choose_engine
    from cluster.planner.plan import plan

    model = load_model(model_name, request.dtype, request.quantization)
    return plan(cluster, model, choose_engine(request, cluster, model).request)
