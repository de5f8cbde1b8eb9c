"""Processes that are started before an order's checks are done."""

from __future__ import annotations

import pytest

from cluster.bridge.driver.early_workers import start_workers, workers_of
from cluster.cluster_spec import parse_cluster_spec
from tests.ray.support import order


class BrokenRay:
    """A Ray whose internals are not as expected."""

    asked = 0

    def nodes(self) -> list[dict[str, object]]:
        self.asked += 1
        return [{"NodeID": "n", "Alive": True, "NodeManagerAddress": "127.0.0.1", "NodeManagerPort": 1}]


def test_one_per_gpu_and_one_for_the_controller() -> None:
    cluster = parse_cluster_spec("2x8xL4")
    first, second = (node.node_id for node in cluster.nodes)
    spec = order(cluster, "name", [[(0, 0), (0, 1)], [(1, 0), (1, 1)], [(0, 2), (0, 3)]])
    assert workers_of(spec, "head") == {first: 4, second: 2, "head": 1}
    assert workers_of(spec, first) == {first: 5, second: 2}


@pytest.mark.parametrize("counts", [{"n": 2}, {"gone": 1}, {}])
def test_what_ray_does_not_offer_is_left(counts: dict[str, int]) -> None:
    ray = BrokenRay()
    start_workers(ray, counts)
    assert ray.asked == 1
