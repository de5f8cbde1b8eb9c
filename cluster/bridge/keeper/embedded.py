"""A Ray cluster on this machine: one real raylet per node, bound to loopback, protected by a token.

A simulated node is a raylet with logical GPUs and labels that say which GPU type it stands for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.bridge.state.temp_dir import TEMP_DIR_VARIABLE, remove_temp_dir
from cluster.inventory import Cluster as Inventory
from cluster.process_table import end_descendants

NAME_LABEL = "clusterview.io/node"
GPU_TYPE_LABEL = "clusterview.io/simulated-gpu"
GPU_COUNT_LABEL = "clusterview.io/simulated-count"
DOMAIN_LABEL = "clusterview.io/nvlink-domain"
MOST_SIMULATED_NODES = 16

_LOOPBACK = "127.0.0.1"
# Ray asks for 75 MiB at least; our messages are small.
_OBJECT_STORE_BYTES = 80 * 1024**2


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One raylet to start."""

    name: str
    num_gpus: int
    labels: dict[str, str]


def simulated_nodes(inventory: Inventory) -> tuple[NodePlan, ...]:
    """Return the raylets that stand for the nodes of a cluster spec."""
    plans = []
    for node in inventory.nodes:
        labels = {
            NAME_LABEL: node.name,
            GPU_TYPE_LABEL: node.gpus[0].type,
            GPU_COUNT_LABEL: str(len(node.gpus)),
        }
        if node.nvlink_domain:
            labels[DOMAIN_LABEL] = node.nvlink_domain
        plans.append(NodePlan(node.name, len(node.gpus), labels))
    return tuple(plans)


def canonical_spec(inventory: Inventory) -> str:
    """Return the canonical form of a cluster spec: adjacent equal nodes are counted together."""
    groups: list[list[Any]] = []
    for node in inventory.nodes:
        shape = f"{len(node.gpus)}x{node.gpus[0].type}"
        if groups and groups[-1][1] == shape:
            groups[-1][0] += 1
        else:
            groups.append([1, shape])
    return ",".join(f"{count}x{shape}" for count, shape in groups)


def ray_environment(auth_token: str, temp_dir: str) -> dict[str, str]:
    """Return the environment that a process needs, before it imports ray, to join such a cluster."""
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": auth_token,
        TEMP_DIR_VARIABLE: temp_dir,
        "RAY_USAGE_STATS_ENABLED": "0",
        # Without this Ray turns 127.0.0.1 into the machine's outward address, where nothing listens.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_DISABLE_IMPORT_WARNING": "1",
        # A killed raylet is called dead after 5 s. One that is merely slow has five times 10 s to answer.
        "RAY_health_check_period_ms": "1000",
        # Ray's head would keep a record of every call and of every dead actor, a megabyte a deployment.
        "RAY_task_events_report_interval_ms": "0",
        "RAY_maximum_gcs_destroyed_actor_cached_count": "100",
        "RAY_maximum_gcs_dead_worker_cached_count": "100",
        # Told to end while it starts a node, Ray would wait half a minute for that node's work to move away.
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
    }


class EmbeddedCluster:
    """The processes of one embedded cluster. Everything it started ends with it."""

    def __init__(self, temp_dir: str) -> None:
        self._temp_dir = temp_dir
        self._cluster: Any = None

    def start(self, plans: tuple[NodePlan, ...]) -> Iterator[str]:
        """Start the head and then each node, and yield the name of each as it joins.

        A single plan without simulation labels is the head itself: this machine with its GPUs.
        """
        from ray.cluster_utils import Cluster

        local = len(plans) == 1 and GPU_TYPE_LABEL not in plans[0].labels
        head = plans[0] if local else NodePlan("head", 0, {})
        self._cluster = Cluster(initialize_head=True, head_node_args=_head_arguments(head))
        yield "head"
        for plan in () if local else plans:
            self._cluster.add_node(**_node_arguments(plan))
            yield plan.name

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def head_lives(self) -> bool:
        """False once the head's own processes are gone."""
        return bool(self._cluster.head_node.remaining_processes_alive())

    def pids(self) -> set[int]:
        """Return the living processes that Ray started from this one; those that have ended are reaped."""
        started = [
            info.process
            for node in self._cluster.list_all_nodes()
            for infos in node.all_processes.values()
            for info in infos
        ]
        return {process.pid for process in started if process.poll() is None}

    def named_actors(self, name_prefix: str) -> list[str]:
        """Return the names that start so, without that start, of actors that live or are coming to life."""
        names = [
            str(actor.get("Name", ""))
            for actor in self._cluster.global_state.actor_table(None).values()
            if actor["State"] != "DEAD"
        ]
        return sorted(name.removeprefix(name_prefix) for name in names if name.startswith(name_prefix))

    def stop(self) -> None:
        """End every process of the cluster, workers included, and remove its files."""
        if self._cluster is not None:
            _quietly(self._cluster.shutdown)
        end_descendants()
        remove_temp_dir(Path(self._temp_dir))


def _quietly(action: Callable[[], None]) -> None:
    try:
        action()
    except Exception as error:  # the processes are ended by hand next, whatever Ray says
        os.write(2, f"ray shutdown: {error}\n".encode())


def _head_arguments(plan: NodePlan) -> dict[str, Any]:
    # Without the autoscaler's monitor the head is up in half the time.
    return {**_node_arguments(plan), "include_dashboard": False, "no_monitor": True}


def _node_arguments(plan: NodePlan) -> dict[str, Any]:
    return {
        "num_cpus": 1,
        "num_gpus": plan.num_gpus,
        "object_store_memory": _OBJECT_STORE_BYTES,
        "node_ip_address": _LOOPBACK,
        "include_log_monitor": False,
        "labels": plan.labels,
    }
