"""Start the Python processes of an order while its nodes are still being checked.

A process of Ray takes over a second to start, and an order needs several, one after the other: the
controller, then one for each GPU. Ray can start them ahead; those that are not used end by themselves.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

from cluster.deploy.spec import DeploymentSpec

KEEP_S = 30
"""How long Ray keeps such a process for whatever needs one."""
_ANSWER_S = 5.0
_MOST_PER_NODE = 16


def workers_of(spec: DeploymentSpec, head_id: str) -> dict[str, int]:
    """Return how many processes an order needs on each node: one per GPU, on the head one more."""
    counts = Counter(place.node_id for place in spec.ranks)
    counts[head_id] += 1
    return {node_id: min(count, _MOST_PER_NODE) for node_id, count in counts.items()}


def start_workers(ray: Any, counts: Mapping[str, int]) -> None:
    """Ask the nodes to start processes of this job, by node id, and do not wait for their answers.

    What is asked is internal to Ray. Where that fails, processes start when they are needed.
    """
    with contextlib.suppress(Exception):
        nodes = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
        for node_id, count in counts.items():
            if (node := nodes.get(node_id)) is not None:
                _ask(ray, f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}", count)


def _ask(ray: Any, raylet: str, count: int) -> None:
    from ray._private.grpc_utils import init_grpc_channel
    from ray.core.generated import common_pb2, node_manager_pb2, node_manager_pb2_grpc

    worker = ray._private.worker.global_worker
    request = node_manager_pb2.PrestartWorkersRequest(
        language=common_pb2.Language.PYTHON,
        job_id=worker.current_job_id.binary(),
        keep_alive_duration_secs=KEEP_S,
        num_workers=count,
    )
    # Processes of another environment would be of no use to this job.
    request.runtime_env_info.CopyFrom(worker.core_worker.get_job_config().runtime_env_info)
    channel = init_grpc_channel(raylet)
    answer = node_manager_pb2_grpc.NodeManagerServiceStub(channel).PrestartWorkers.future(
        request, timeout=_ANSWER_S
    )
    answer.add_done_callback(lambda _: channel.close())
