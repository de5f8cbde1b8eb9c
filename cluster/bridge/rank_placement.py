"""Match the GPUs of a plan to the nodes and indices of the cluster that runs it."""

from __future__ import annotations

from cluster.deploy.spec import DeploymentSpec, RankPlace
from cluster.errors import BadInput
from cluster.inventory import Cluster, Gpu, Node


def on_cluster(spec: DeploymentSpec, cluster: Cluster) -> DeploymentSpec:
    """Return the order with node ids and indexes of `cluster`, joined on the GPUs' uuids.

    Raises BadInput for a GPU that the cluster does not have.
    """
    places = {gpu.uuid: (node, gpu) for node in cluster.nodes for gpu in node.gpus}
    missing = sorted({rank.gpu_uuid for rank in spec.ranks} - places.keys())
    if missing:
        raise BadInput(f"Ray does not see the GPU {missing[0]}", "Plan again with the current cluster")
    ranks = tuple(_placed(rank, *places[rank.gpu_uuid]) for rank in spec.ranks)
    return spec.model_copy(update={"ranks": ranks})


def _placed(rank: RankPlace, node: Node, gpu: Gpu) -> RankPlace:
    place = {"node_id": node.node_id, "node_name": node.name, "gpu_index": gpu.index}
    return rank.model_copy(update=place)
