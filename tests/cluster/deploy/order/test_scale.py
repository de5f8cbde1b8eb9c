"""More replicas on GPUs that are free now, or fewer: what the order becomes."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.cluster_spec import parse_cluster_spec
from cluster.deploy.engine_in_use import EngineInUse
from cluster.deploy.order.scale import first_to_end, grown
from cluster.deploy.predicted import Predicted
from cluster.deploy.resized import replicas_of, without_replicas
from cluster.deploy.spec import DeploymentSpec, ServerPlan
from cluster.deploy.status import ReplicaStatus
from cluster.engines.launch import ServerLaunch
from cluster.errors import BadInput, DeployFailed
from cluster.gpu_health import Finding, Health
from cluster.inventory import Cluster
from cluster.planner.layout import Layout
from cluster.planner.result import Band
from tests.ray.support import PLANNED_BYTES, order

CLUSTER = parse_cluster_spec("2x4xA100-80GB", "simulated")
BAND = Band(100.0, 80.0, 120.0)


def claimed(cluster: Cluster, spec: DeploymentSpec, *more: tuple[int, int]) -> Cluster:
    """Return the cluster with the GPUs of an order, and more (node, index), in use."""
    held = {place.gpu_uuid for place in spec.ranks} | {cluster.nodes[n].gpus[i].uuid for n, i in more}
    return changed(cluster, held, claimed_by="somebody")


def changed(cluster: Cluster, uuids: set[str], **changes: Any) -> Cluster:
    nodes = tuple(
        node.model_copy(
            update={
                "gpus": tuple(
                    gpu.model_copy(update=changes) if gpu.uuid in uuids else gpu for gpu in node.gpus
                )
            }
        )
        for node in cluster.nodes
    )
    return cluster.model_copy(update={"nodes": nodes})


def pair(**changes: Any) -> DeploymentSpec:
    """TP=2, one replica on GPUs 0 and 1 of the first node."""
    return order(CLUSTER, "pair", [[(0, 0), (0, 1)]], **changes)


def gpus_of(spec: DeploymentSpec, replica: int) -> set[tuple[str, int]]:
    return {(place.node_name, place.gpu_index) for place in spec.ranks if place.replica == replica}


def test_growing_keeps_the_others_and_takes_only_free_gpus() -> None:
    spec = pair(predicted_tokens_per_s=BAND, predicted=Predicted(ttft_s=BAND, throughput_tokens_per_s=BAND))
    more = grown(spec, 3, claimed(CLUSTER, spec, (1, 0), (1, 1)))
    assert more.ranks[:2] == spec.ranks
    assert gpus_of(more, 1) | gpus_of(more, 2) == {
        *((spec.ranks[0].node_name, index) for index in (2, 3)),
        *((CLUSTER.nodes[1].name, index) for index in (2, 3)),
    }
    assert more.layout == Layout(tp=2, dp=3) and more.label == "TP=2, DP=3"
    # The whole is predicted to do three times as much; a request takes as long as before.
    assert more.predicted_tokens_per_s == Band(300.0, 240.0, 360.0)
    assert more.predicted.throughput_tokens_per_s == Band(300.0, 240.0, 360.0)
    assert more.predicted.ttft_s == BAND
    assert {place.planned_bytes for place in more.ranks} == {PLANNED_BYTES}


def test_a_new_replica_has_the_stages_and_layers_of_the_others() -> None:
    spec = order(CLUSTER, "deep", [[(0, 0), (0, 1)]], pp=2)
    uneven = tuple(place.model_copy(update={"layers": (place.stage, 2)}) for place in spec.ranks)
    spec = spec.model_copy(update={"ranks": uneven})
    new = grown(spec, 2, claimed(CLUSTER, spec)).ranks[2:]
    assert [(place.stage, place.rank, place.layers) for place in new] == [(0, 0, (0, 2)), (1, 0, (1, 2))]


def test_the_lowest_free_numbers_are_given_again() -> None:
    spec = order(CLUSTER, "many", [[(0, 0)], [(0, 1)], [(0, 2)]])
    fewer = without_replicas(spec, {1})
    assert replicas_of(fewer) == (0, 2) and fewer.layout.dp == 2
    again = grown(fewer, 4, claimed(CLUSTER, fewer))
    assert replicas_of(again) == (0, 1, 2, 3)
    assert gpus_of(again, 2) == gpus_of(spec, 2)


def test_it_is_said_which_gpus_are_missing() -> None:
    spec = order(CLUSTER, "wide", [[(0, 0), (0, 1), (0, 2), (0, 3)]])
    with pytest.raises(DeployFailed, match=r"no 4 free GPUs in one NVLink island: 3 are free on node-2"):
        grown(
            spec, 2, claimed(parse_cluster_spec("3x4xA100-80GB", "simulated"), spec, (1, 0), (2, 0), (2, 1))
        )
    with pytest.raises(DeployFailed, match=r"one more replica needs 4 free GPUs, 0 can be used"):
        grown(spec, 2, claimed(CLUSTER, spec, *((1, index) for index in range(4))))
    with pytest.raises(DeployFailed, match=r"only 1 of 2 more replicas can be placed"):
        grown(spec, 3, claimed(CLUSTER, spec))


def test_memory_that_others_use_and_gpus_that_fail_are_not_counted_on() -> None:
    spec = order(CLUSTER, "one", [[(0, 0)]])
    rest = {gpu.uuid for node in CLUSTER.nodes for gpu in node.gpus} - {spec.ranks[0].gpu_uuid}
    full = changed(CLUSTER, rest, memory_free_bytes=10 * 2**30)
    with pytest.raises(DeployFailed, match=r"each GPU needs 60.0 GiB: GPU 1 on node-1 has 10.0 GiB free"):
        grown(spec, 2, claimed(full, spec))
    with pytest.raises(DeployFailed, match="0 can be used"):
        grown(spec, 2, claimed(changed(CLUSTER, rest, unhealthy_reason="XID 79"), spec))
    with pytest.raises(DeployFailed, match="0 can be used"):
        grown(spec, 2, claimed(changed(CLUSTER, rest, excluded_reason="not in CUDA_VISIBLE_DEVICES"), spec))
    with pytest.raises(DeployFailed, match="0 can be used"):
        grown(spec, 2, claimed(changed(CLUSTER, rest, type="L4"), spec))


def test_sound_gpus_take_the_next_replica() -> None:
    spec = order(CLUSTER, "one", [[(0, 0)]])
    hot = Health(state="degraded", findings=(Finding(code="hot", state="degraded", text="hot: 95 C"),))
    first = {gpu.uuid for gpu in CLUSTER.nodes[0].gpus} - {spec.ranks[0].gpu_uuid}
    more = grown(spec, 2, claimed(changed(CLUSTER, first, health=hot), spec))
    assert {place.node_name for place in more.ranks if place.replica == 1} == {CLUSTER.nodes[1].name}


def test_servers_start_only_where_their_engine_is() -> None:
    launch = ServerLaunch(model="/models/m", served_name="m", tp=1)
    engine = EngineInUse(name="vllm", version="0.32.0", planned_for="vllm 0.32.0")
    spec = order(CLUSTER, "s", [[(0, 0)]], server=ServerPlan(launch=launch), engine=engine, simulated=False)
    first, second = CLUSTER.nodes
    nodes = (
        first.model_copy(update={"engines": {"vllm": "0.31.0"}}),
        second.model_copy(update={"engines": {"vllm": "0.32.0"}}),
    )
    more = grown(spec, 2, claimed(CLUSTER.model_copy(update={"nodes": nodes}), spec))
    assert {place.node_name for place in more.ranks if place.replica == 1} == {second.name}
    # Of another interpreter nothing is known here.
    elsewhere = spec.model_copy(update={"server": ServerPlan(launch=launch, python="/opt/vllm/bin/python")})
    more = grown(elsewhere, 2, claimed(CLUSTER.model_copy(update={"nodes": nodes}), spec))
    assert {place.node_name for place in more.ranks if place.replica == 1} == {first.name}


def test_what_cannot_be_scaled_says_so() -> None:
    attention = pair().model_copy(update={"layout": Layout(tp=1, dp=2, ep=2, dp_attention=True)})
    with pytest.raises(BadInput, match="one engine"):
        grown(attention, 2, CLUSTER)
    with pytest.raises(BadInput, match="cannot run 0 replicas") as refused:
        without_replicas(pair(), {0})
    assert "clusterview stop pair" in refused.value.hint


def test_what_does_not_serve_ends_first_then_the_highest_number() -> None:
    ready = [ReplicaStatus(replica=number, ready=True) for number in range(3)]
    assert first_to_end(ready, 1) == (2,)
    assert first_to_end(ready, 2) == (1, 2)
    assert first_to_end([*ready, ReplicaStatus(replica=3, ready=False)], 2) == (2, 3)
    assert first_to_end([ReplicaStatus(replica=0, ready=False), *ready[1:]], 1) == (0,)
