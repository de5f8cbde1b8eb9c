"""Impossible snapshots are refused with the field and the reason; real ones are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.cluster_spec import parse_cluster_spec
from cluster.errors import BadInput
from cluster.inventory import Gpu
from cluster.probe.memory import _sizes
from cluster.probe.node import _with_distinct_uuids
from cluster.probe.query import Answer
from cluster.snapshot import dump_cluster, load_cluster

Change = Callable[[dict[str, Any]], Any]
LINK = {"scope": "node", "num_ranks": 8, "latency_s": 2e-5, "bandwidth_bytes_per_s": 3.5e11}
RATE = {"gpu_type": "L4", "memory_bytes_per_s": 2.6e11, "flops_per_s": {"bf16": 1e14}}


def body() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(dump_cluster(parse_cluster_spec("2x2xL4")))
    return loaded


def load(changed: dict[str, Any], path: Path) -> Any:
    path.write_text(json.dumps(changed))
    return load_cluster(path)


def on_gpu(**fields: Any) -> Change:
    return lambda whole: whole["cluster"]["nodes"][1]["gpus"][0].update(fields)


def on_node(**fields: Any) -> Change:
    return lambda whole: whole["cluster"]["nodes"][1].update(fields)


def on_cluster(**fields: Any) -> Change:
    return lambda whole: whole["cluster"].update(fields)


def link(**fields: Any) -> Change:
    return on_cluster(measured_links=[{**LINK, **fields}])


def rate(**fields: Any) -> Change:
    return on_cluster(measured_rates=[{**RATE, **fields}])


ABSURD_RATES = [0, -1, -5e9, 1e-300, 1e300, float("nan"), float("inf"), 10**400, "1e9", [1e9], True]
IMPOSSIBLE = [
    (on_gpu(memory_free_bytes=-(10**12)), "memory_free_bytes"),
    (on_gpu(memory_free_bytes=2**43), "memory_free_bytes"),
    (on_gpu(memory_total_bytes=10**30), "memory_total_bytes"),
    (on_gpu(memory_total_bytes=[24]), "memory_total_bytes"),
    (on_gpu(memory_total_bytes=True), "memory_total_bytes"),
    (on_gpu(memory_total_bytes="24152899584"), "memory_total_bytes"),
    (on_gpu(index=-1), "index"),
    (on_gpu(index=1), "two GPUs have the same index 1"),
    (on_gpu(uuid="GPU-node-2-1"), "two GPUs have the same uuid GPU-node-2-1"),
    (on_gpu(uuid="GPU-node-1-1"), "two nodes have a GPU with uuid GPU-node-1-1"),
    (on_gpu(uuid=""), "uuid"),
    (on_gpu(compute_capability=[8, -1]), "compute_capability"),
    (on_gpu(numa_node=-1), "numa_node"),
    (on_gpu(processes=[{"pid": 0}]), "pid"),
    (on_gpu(processes=[{"pid": 7, "memory_bytes": -1}]), "memory_bytes"),
    (on_gpu(color="green"), "color: unknown field"),
    (on_node(node_id="node-1"), "two nodes have the same node_id node-1"),
    (on_node(gpus={}), "gpus"),
    *[(on_node(network_bytes_per_s=value), "network_bytes_per_s") for value in ABSURD_RATES],
    *[
        (on_cluster(taken_at_s=v), "taken_at_s")
        for v in (-1, 1e300, float("nan"), float("inf"), "now", [1.0])
    ],
    *[(link(bandwidth_bytes_per_s=value), "bandwidth_bytes_per_s") for value in ABSURD_RATES],
    *[(link(latency_s=value), "latency_s") for value in (0, -1, 1e-300, 1e300, float("nan"), 10**400, "1")],
    *[(link(num_ranks=value), "num_ranks") for value in (0, 1, -8, 2.5, 10**9, 10**400, True, "8", [8])],
    *[(rate(memory_bytes_per_s=value), "memory_bytes_per_s") for value in ABSURD_RATES],
    *[(rate(flops_per_s={"bf16": value}), "flops_per_s.bf16") for value in ABSURD_RATES],
    (on_cluster(simulated="yes"), "simulated"),
    (on_cluster(nodes=None), "nodes"),
    (lambda whole: whole.update(version=2), "snapshot version 2"),
    (lambda whole: whole.update(version=True), "snapshot version True"),
    (lambda whole: whole.update(format="x"), "is not a cluster snapshot"),
    (lambda whole: whole.update(cluster=[1]), "cluster"),
]


@pytest.mark.parametrize(("change", "reason"), IMPOSSIBLE)
def test_impossible_values_are_refused_by_field(change: Change, reason: str, tmp_path: Path) -> None:
    changed = body()
    change(changed)
    with pytest.raises(BadInput) as caught:
        load(changed, tmp_path / "cluster.json")
    line = caught.value.one_line()
    assert reason in line and len(line) < 400


@pytest.mark.parametrize(
    "change",
    [
        link(),
        rate(),
        on_node(network_bytes_per_s=5e10),
        on_node(network_bytes_per_s=12_500_000),
        on_cluster(taken_at_s=1_790_000_000.5),
        on_gpu(memory_total_bytes=None, memory_free_bytes=None),
        on_gpu(memory_free_bytes=0, processes=[{"pid": 4_000_000, "name": "python", "memory_bytes": 5}]),
        on_gpu(index=2003, mig_parent_uuid="GPU-x"),
    ],
)
def test_what_can_be_is_read(change: Change, tmp_path: Path) -> None:
    changed = body()
    change(changed)
    assert load(changed, tmp_path / "cluster.json").num_gpus == 4


def test_gpus_that_could_not_be_read_may_share_a_placeholder(tmp_path: Path) -> None:
    changed = body()
    for node in changed["cluster"]["nodes"]:
        node["gpus"][0].update(uuid="unreadable-gpu-0", unhealthy_reason="lost")
    assert load(changed, tmp_path / "cluster.json").num_gpus == 4


def test_a_node_has_as_many_gpus_as_a_machine_can(tmp_path: Path) -> None:
    changed = body()
    gpu = changed["cluster"]["nodes"][0]["gpus"][0]
    changed["cluster"]["nodes"][0]["gpus"] = [{**gpu, "index": i, "uuid": f"{i}"} for i in range(257)]
    with pytest.raises(BadInput, match=r"cluster\.nodes\.0\.gpus: .* at most 256"):
        load(changed, tmp_path / "cluster.json")
    with pytest.raises(BadInput, match="99,999 GPUs per node is too many at position 1"):
        parse_cluster_spec("99999xL4")
    with pytest.raises(BadInput, match="257 GPUs per node is too many at position 3"):
        parse_cluster_spec("2x257xL4")
    assert parse_cluster_spec("256xL4").num_gpus == 256


def test_a_file_stops_at_as_many_gpus_as_a_spec(tmp_path: Path) -> None:
    changed = body()
    gpu = changed["cluster"]["nodes"][0]["gpus"][0]
    few = {key: gpu[key] for key in ("type", "memory_total_bytes")}
    gpus = [{**few, "index": i, "uuid": f"{i}"} for i in range(150_000)]
    changed["cluster"]["nodes"] = [{"node_id": name, "name": name, "gpus": gpus} for name in "ab"]
    with pytest.raises(BadInput, match=r"cluster\.json has 300,000 GPUs"):
        load(changed, tmp_path / "cluster.json")


def test_a_large_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    with path.open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(BadInput) as caught:
        load_cluster(path)
    assert "too large: 2.0 GiB. The limit for a cluster snapshot is 128.0 MiB" in caught.value.one_line()


@pytest.mark.parametrize(
    "text", ["", "[", "{} {}", '{"format": "clusterview-cluster"', "\x00", "[" * 100_000]
)
def test_text_that_is_not_json_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    path.write_text(text)
    with pytest.raises(BadInput, match="is not JSON"):
        load_cluster(path)


@pytest.mark.parametrize("sizes", [(2**60, 0, 0), (2**50, 2**40, 2**50), (100, -1, 5)])
def test_an_impossible_size_on_a_live_gpu_is_none_with_a_reason(sizes: tuple[int, int, int]) -> None:
    total, used, free = sizes
    memory = _sizes(Answer(SimpleNamespace(total=total, used=used, free=free)))
    assert (memory.total_bytes, memory.reason) == (None, "the driver reports an impossible size")


def test_a_live_gpu_with_the_uuid_of_another_is_set_aside() -> None:
    gpu = Gpu(index=0, uuid="GPU-a", type="L4", memory_total_bytes=None)
    apart = _with_distinct_uuids({0: gpu, 1: gpu.model_copy(update={"index": 1})})
    assert apart[0].healthy and apart[1].uuid == "unreadable-gpu-1"
    assert apart[1].unhealthy_reason == "it reports the UUID of GPU 0"
