"""What was measured holds for the GPUs that are still there, and a plan says that it uses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.bridge.calibrations import calibrated, keep_calibration, kept_calibrations
from cluster.calibration.apply import with_calibrations
from cluster.calibration.result import Calibration, GpuMeasurement, LinkMeasurement
from cluster.catalog.models import load_model
from cluster.cluster_spec import parse_cluster_spec
from cluster.inventory import Cluster, MeasuredLink, MeasuredRate
from cluster.planner.plan import plan
from cluster.planner.request import PlanRequest
from cluster.snapshot import dump_cluster, load_cluster

DAY_S = 24 * 3600.0
NOW_S = 1_800_000_000.0


def cluster_of(spec: str = "2x2xL4") -> Cluster:
    return parse_cluster_spec(spec).model_copy(update={"source": "ray", "taken_at_s": NOW_S})


def calibration_of(cluster: Cluster, **fields: Any) -> Calibration:
    """A calibration of a cluster: one link in its first node, one across, and rates."""
    gpus = {node.name: tuple(gpu.uuid for gpu in node.gpus) for node in cluster.nodes}
    first, *others = gpus.values()
    made = [_link("node", "pcie", first)]
    if others:
        made.append(_link("cross_node", "network", (first[0], others[0][0])))
    rate = MeasuredRate(gpu_type="L4", memory_bytes_per_s=1.5e11, flops_per_s={"bf16": 5e13})
    rates = GpuMeasurement(rate=rate, gpus=first, copy_bytes_per_s=2e11, read_bytes_per_s=2e11)
    whole = Calibration(
        cluster="ray a",
        measured_at_s=NOW_S - 3 * DAY_S,
        duration_s=60,
        links=tuple(made),
        rates=(rates,),
        gpus_by_node=gpus,
    )
    return whole.model_copy(update=fields)


def _link(scope: Any, kind: Any, gpus: tuple[str, ...]) -> LinkMeasurement:
    link = MeasuredLink(
        scope=scope,
        num_ranks=len(gpus),
        latency_s=1e-4,
        bandwidth_bytes_per_s=1e9,
        kind=kind,
        gpu_type="L4",
        library="nccl",
    )
    nodes = ("node-1",) if scope == "node" else ("node-1", "node-2")
    return LinkMeasurement(link=link, gpus=gpus, nodes=nodes, times=(), fit_error=0.0)


def kinds(cluster: Cluster) -> list[str | None]:
    return [link.kind for link in cluster.measured_links]


def test_a_cluster_with_the_same_gpus_gets_everything() -> None:
    cluster = cluster_of()
    found = with_calibrations(cluster, [calibration_of(cluster)])
    assert kinds(found) == ["pcie", "network"] and [one.gpu_type for one in found.measured_rates] == ["L4"]
    assert found.measured_at_s == NOW_S - 3 * DAY_S


def test_a_node_that_changed_its_gpus_loses_its_part() -> None:
    cluster = cluster_of()
    stored = [calibration_of(cluster)]
    first, second = cluster.nodes
    other = tuple(gpu.model_copy(update={"uuid": f"new-{gpu.index}"}) for gpu in second.gpus)
    changed = cluster.model_copy(update={"nodes": (first, second.model_copy(update={"gpus": other}))})
    assert kinds(with_calibrations(changed, stored)) == ["pcie"]
    # The same GPUs in one node are another link than across two.
    moved = first.model_copy(update={"gpus": (first.gpus[0], second.gpus[0].model_copy(update={"index": 1}))})
    found = with_calibrations(cluster.model_copy(update={"nodes": (moved,)}), stored)
    assert found.measured_links == () and len(found.measured_rates) == 1
    assert with_calibrations(cluster_of("1xT4"), stored).measured_at_s is None


def test_the_newest_measurement_counts() -> None:
    cluster = cluster_of()
    old, new = calibration_of(cluster), calibration_of(cluster, measured_at_s=NOW_S - DAY_S)
    slower = new.links[0].link.model_copy(update={"latency_s": 1e-2})
    newer = new.model_copy(update={"links": (new.links[0].model_copy(update={"link": slower}),), "rates": ()})
    found = with_calibrations(cluster, [old, newer])
    assert kinds(found) == ["pcie", "network"] and found.measured_links[0].latency_s == 1e-2
    assert found.measured_at_s == old.measured_at_s, "the age is that of the oldest part"


def test_nothing_simulated_is_used() -> None:
    cluster = cluster_of()
    assert with_calibrations(cluster, [calibration_of(cluster, simulated=True)]) == cluster
    simulated = cluster.model_copy(update={"simulated": True})
    assert with_calibrations(simulated, [calibration_of(cluster)]) == simulated


def test_kept_on_disk_and_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTERVIEW_STATE_DIR", str(tmp_path))
    cluster = cluster_of()
    assert calibrated(cluster) == cluster and not list(tmp_path.iterdir()), "looking makes nothing"
    keep_calibration(calibration_of(cluster))
    path = keep_calibration(calibration_of(cluster, duration_s=5))
    assert [one.duration_s for one in kept_calibrations()] == [5]
    assert kinds(calibrated(cluster)) == ["pcie", "network"]
    path.write_bytes(path.read_bytes()[:-20])
    assert kept_calibrations() == [] and calibrated(cluster) == cluster
    path.write_text("not ours")
    assert kept_calibrations() == []
    with pytest.raises(Exception, match="was not written by clusterview"):
        keep_calibration(calibration_of(cluster))
    assert path.read_text() == "not ours"


def test_a_plan_uses_it_says_so_and_can_ignore_it(tmp_path: Path) -> None:
    cluster = cluster_of()
    measured = with_calibrations(cluster, [calibration_of(cluster)])
    model = load_model("llama-3.1-8b", None, None)
    usual, slower = (plan(one, model, PlanRequest(tp=2)).recommended for one in (cluster, measured))
    assert usual and slower and usual.estimate and slower.estimate
    assert slower.estimate.tpot_s.value > usual.estimate.tpot_s.value
    note = "uses rates measured on 2027-01-12 (3 days ago); --no-calibration ignores them"
    assert note in slower.notes and note not in usual.notes
    ignored = plan(measured, model, PlanRequest(tp=2, no_calibration=True)).recommended
    assert ignored is not None and ignored.estimate == usual.estimate and note not in ignored.notes
    # It travels with a snapshot.
    (tmp_path / "cluster.json").write_text(dump_cluster(measured))
    saved = plan(load_cluster(tmp_path / "cluster.json"), model, PlanRequest(tp=2)).recommended
    assert saved is not None and saved.estimate == slower.estimate and note in saved.notes


def test_an_nvlink_measured_with_nccl_leaves_the_engines_own_kernel_as_it_is() -> None:
    """A small message goes through the engine's one-shot kernel, which NCCL's ring says nothing about."""
    cluster = parse_cluster_spec("8xH100").model_copy(update={"taken_at_s": NOW_S})
    model, request = load_model("llama-3.1-70b", None, None), PlanRequest(tp=8, concurrency=1)
    slow = MeasuredLink(
        scope="node", num_ranks=8, latency_s=5e-5, bandwidth_bytes_per_s=3.4e11, kind="nvlink", library="nccl"
    )
    tpots = []
    for links in ((), (slow,), (slow.model_copy(update={"library": None}),)):
        found = plan(cluster.model_copy(update={"measured_links": links}), model, request).recommended
        assert found is not None and found.estimate is not None
        tpots.append(found.estimate.tpot_s.value)
    usual, by_nccl, by_hand = tpots
    assert by_nccl == pytest.approx(usual, rel=0.02) and by_hand > 1.3 * usual
