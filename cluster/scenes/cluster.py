"""A scene's cluster at one moment, for plans and readings without a session."""

from __future__ import annotations

import time

from cluster.catalog.gpus import find_gpu
from cluster.health.judge import with_health
from cluster.inventory import Cluster, Node
from cluster.probe.simulated import SimulatedGpus
from cluster.scenes.load import scene_from_argument
from cluster.scenes.play import NodePlay
from cluster.scenes.scene import Scene


def simulated_cluster(text: str, scene_s: float = 0.0) -> Cluster:
    """Return the cluster that `--simulate` names, as it is `scene_s` seconds into its scene."""
    return cluster_at(scene_from_argument(text), scene_s)


def cluster_at(scene: Scene, scene_s: float = 0.0) -> Cluster:
    """Return the cluster as a session shows it at that time, judged; a spec alone is an idle cluster."""
    if scene.is_still:
        return scene.inventory
    began_s = time.time() - scene_s
    nodes = tuple(_node_at(scene, node, began_s, began_s + scene_s) for node in scene.inventory.nodes)
    return Cluster(source="simulated", nodes=nodes, simulated=True, taken_at_s=time.time())


def _node_at(scene: Scene, node: Node, began_s: float, now_s: float) -> Node:
    gpus = SimulatedGpus(find_gpu(node.gpus[0].type), len(node.gpus), node.node_id, scene.seed)
    play = NodePlay(scene, node.name, gpus, began_s)
    play.advance(now_s)
    seen = play.node(now_s, nvlink_domain=node.nvlink_domain)
    return with_health(seen, play.reading(now_s), play.detail(now_s))
