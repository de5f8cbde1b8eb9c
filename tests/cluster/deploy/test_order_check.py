"""An order is checked against the cluster as it is when the order is given."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.cluster_spec import parse_cluster_spec
from cluster.deploy.order_check import check_order
from cluster.deploy.spec import DeploymentSpec
from cluster.deploy.status import DeploymentState, DeploymentStatus
from cluster.errors import BadInput, ClusterviewError, DeployFailed
from cluster.inventory import Cluster
from cluster.planner.layout import Layout
from tests.ray.support import order

CLUSTER = parse_cluster_spec("2x4xA100-80GB", "simulated")


def with_gpu(**changes: Any) -> Cluster:
    """Return the cluster with its first GPU changed."""
    node = CLUSTER.nodes[0]
    gpus = (node.gpus[0].model_copy(update=changes), *node.gpus[1:])
    return CLUSTER.model_copy(update={"nodes": (node.model_copy(update={"gpus": gpus}), *CLUSTER.nodes[1:])})


def spec(name: str = "new") -> DeploymentSpec:
    return order(CLUSTER, name, [[(0, 0), (0, 1)], [(1, 0), (1, 1)]])


def test_a_plan_that_still_holds_is_accepted() -> None:
    check_order(spec(), CLUSTER, [])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"memory_free_bytes": 10 * 2**30}, "10.0 GiB free now, the plan needs 60.0 GiB"),
        ({"claimed_by": "other"}, "held by other"),
        ({"unhealthy_reason": "XID 79"}, "unhealthy: XID 79"),
        ({"excluded_reason": "not in CUDA_VISIBLE_DEVICES"}, "excluded: not in CUDA_VISIBLE_DEVICES"),
        ({"uuid": "GPU-swapped"}, "no longer in the cluster"),
        ({"index": 7}, "no longer in the cluster"),
    ],
)
def test_a_gpu_that_changed_since_the_plan_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DeployFailed, match=words) as refused:
        check_order(spec(), with_gpu(**changes), [])
    assert "GPU 0 on node-1" in refused.value.message and refused.value.hint


def test_unknown_free_memory_is_not_taken_for_none() -> None:
    check_order(spec(), with_gpu(memory_free_bytes=None), [])


def test_a_taken_name_and_a_wrong_number_of_ranks_are_refused() -> None:
    running = DeploymentStatus(name="new", model="m", label="DP=1", state=DeploymentState.READY)
    with pytest.raises(BadInput, match="a deployment named new"):
        check_order(spec(), CLUSTER, [running])
    with pytest.raises(ClusterviewError, match="needs 8 GPUs"):
        check_order(spec().model_copy(update={"layout": Layout(tp=2, pp=2, dp=2)}), CLUSTER, [])
