"""The store keeps nothing of nodes that are gone, however long it runs."""

from __future__ import annotations

from cluster.bridge.events import ClusterSeen, DetailsSeen, ReadingsSeen
from cluster.inventory import Cluster
from tests.cluster.bridge.driver.fake_ray import fake_detail, fake_node, fake_reading
from tui.store import Store


def test_what_was_read_of_a_node_goes_with_it() -> None:
    store = Store()
    stays = fake_node("stays", 2)
    for number in range(50):
        node = fake_node(f"node-{number}", 2)
        store.apply(ClusterSeen(cluster=Cluster(source="ray", nodes=(stays, node))))
        store.apply(ReadingsSeen(nodes=(fake_reading(stays, number), fake_reading(node, number))))
        store.apply(DetailsSeen(nodes=(fake_detail(stays, number), fake_detail(node, number))))
    store.apply(ClusterSeen(cluster=Cluster(source="ray", nodes=(stays,))))
    snapshot = store.snapshot
    assert set(snapshot.readings) == set(snapshot.details) == {"stays"}
    assert store.history("GPU-node-49-0") == ()
    assert len(store.history("GPU-stays-0")) == 50
