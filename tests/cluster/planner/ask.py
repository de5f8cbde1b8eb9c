"""Short ways to ask the planner."""

from __future__ import annotations

from typing import Any

from cluster.catalog.models import load_model
from cluster.cluster_spec import parse_cluster_spec
from cluster.inventory import Cluster, Gpu, Node
from cluster.planner.plan import plan
from cluster.planner.request import PlanRequest
from cluster.planner.result import Candidate, Plan

GIB = 1024**3

LLAMA_7B = "meta-llama/Llama-2-7b-hf"
LLAMA_8B = "meta-llama/Llama-3.1-8B-Instruct"
LLAMA_70B = "meta-llama/Llama-3.1-70B-Instruct"
LLAMA_405B = "meta-llama/Llama-3.1-405B-Instruct"


def ask(model: str, cluster: str | Cluster, **request: Any) -> Plan:
    """Plan a catalog model on a spec or a cluster."""
    described = parse_cluster_spec(cluster) if isinstance(cluster, str) else cluster
    return plan(described, load_model(model), PlanRequest(**request))


def best(answer: Plan) -> Candidate:
    """The recommendation, which must exist."""
    assert answer.recommended is not None, answer.advice
    return answer.recommended


def with_gpu(cluster: Cluster, node: int, gpu: int, **changes: Any) -> Cluster:
    """Return the cluster with one GPU changed."""
    nodes = list(cluster.nodes)
    gpus = list(nodes[node].gpus)
    gpus[gpu] = gpus[gpu].model_copy(update=changes)
    nodes[node] = nodes[node].model_copy(update={"gpus": tuple(gpus)})
    return cluster.model_copy(update={"nodes": tuple(nodes)})


def gpu_of(cluster: Cluster, node_id: str, index: int) -> tuple[Node, Gpu]:
    """Find a GPU by node and index."""
    node = next(node for node in cluster.nodes if node.node_id == node_id)
    return node, next(gpu for gpu in node.gpus if gpu.index == index)
