"""The Prometheus text: DCGM's names and labels, values in their units, nothing where nothing was read."""

from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cluster.deploy.status import DeploymentStatus
from cluster.inventory import Gpu, Node
from cluster.metrics.figures import FIGURES, THROTTLE_BITS
from cluster.metrics.live_state import LiveState
from cluster.metrics.text import metrics_text
from cluster.telemetry import GpuReading, NodeReading
from tests.cluster.metrics.live import NOW_S, READING, TYPE, full, gpu, live

DASHBOARD_12239 = (
    'max(DCGM_FI_DEV_GPU_TEMP{Hostname=~"$Hostname", gpu=~"$gpu"}) by (Hostname, gpu, uuid)',
    'max(DCGM_FI_DEV_POWER_USAGE{Hostname=~"$Hostname", gpu=~"$gpu"}) by (Hostname, gpu, uuid)',
    'max(DCGM_FI_DEV_SM_CLOCK{Hostname=~"$Hostname", gpu=~"$gpu"} * 1000000) by (Hostname, UUID, gpu)',
    'max(DCGM_FI_PROF_GR_ENGINE_ACTIVE{Hostname=~"$Hostname", gpu=~"$gpu"}) by (Hostname, gpu)',
    'max(DCGM_FI_DEV_FB_USED{Hostname=~"$Hostname", gpu=~"$gpu"}) by (Hostname, gpu)',
    "label_values(DCGM_FI_DEV_FB_FREE, Hostname)",
    'DCGM_FI_DEV_GPU_UTIL{instance=~"${instance}", gpu=~"${gpu}"}',
)
"""Its queries, old and new, but for the tensor cores' activity, which only DCGM's profiling counters have."""

Samples = dict[str, dict[frozenset[tuple[str, str]], float]]


def samples(state: LiveState) -> Samples:
    """Parse the text as Prometheus does; no series may occur twice."""
    found: Samples = {}
    for family in text_string_to_metric_families(metrics_text(state).decode()):
        for sample in family.samples:
            series = found.setdefault(sample.name, {})
            labels = frozenset(sample.labels.items())
            assert labels not in series, (sample.name, labels)
            series[labels] = sample.value
    return found


def of_gpu(found: Samples, metric: str, uuid: str = "GPU-0") -> float | None:
    values = [value for labels, value in found.get(metric, {}).items() if ("UUID", uuid) in labels]
    assert len(values) <= 1
    return values[0] if values else None


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("DCGM_FI_DEV_GPU_UTIL", 97),
        ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", 0.97),
        ("DCGM_FI_DEV_FB_USED", 71 * 1024),
        ("DCGM_FI_DEV_FB_FREE", 9 * 1024),
        ("DCGM_FI_DEV_FB_TOTAL", 80 * 1024),
        ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", 123456789),
        ("DCGM_FI_DEV_POWER_USAGE", 301.5),
        ("DCGM_FI_DEV_SM_CLOCK", 345),
        ("DCGM_FI_DEV_MAX_SM_CLOCK", 1410),
        ("DCGM_FI_DEV_PSTATE", 0),
        ("DCGM_FI_DEV_ENC_UTIL", 0),
        ("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", 2),
        ("DCGM_FI_DEV_ROW_REMAP_PENDING", 1),
        ("DCGM_FI_DEV_ROW_REMAP_FAILURE", 0),
        ("DCGM_FI_DEV_PCIE_LINK_WIDTH", 4),
        ("DCGM_FI_DEV_BAR1_USED", 4),
        ("DCGM_FI_DEV_CLOCK_THROTTLE_REASONS", 0x44),
        ("DCGM_FI_DEV_XID_ERRORS", 94),
        ("clusterview_gpu_nvlinks", 2),
        ("clusterview_gpu_nvlinks_up", 1),
        ("clusterview_gpu_nvlink_received_bytes_total", 110),
        ("clusterview_gpu_nvlink_sent_bytes_total", 200),
        ("clusterview_gpu_usable", 1),
    ],
)
def test_values_are_in_the_units_that_the_name_means(metric: str, value: float) -> None:
    assert of_gpu(samples(full()), metric) == pytest.approx(value)


def test_labels_are_those_of_dcgms_exporter() -> None:
    (labels,) = [dict(labels) for labels in samples(full())["DCGM_FI_DEV_GPU_TEMP"]]
    assert labels == {
        "gpu": "0",
        "UUID": "GPU-0",
        "pci_bus_id": "00000000:00:00.0",
        "device": "nvidia0",
        "modelName": TYPE,
        "Hostname": "gpu-a",
        "DCGM_FI_DRIVER_VERSION": "550.163.01",
    }


def test_the_queries_of_the_known_dashboard_find_their_series() -> None:
    found = samples(full())
    for query in DASHBOARD_12239:
        (metric,) = re.findall(r"DCGM_\w+", query)
        labels = {name for series in found[metric] for name, _ in series}
        asked = set(re.findall(r"(\w+)=~", query)) | set(re.findall(r"values\(\w+, (\w+)\)", query))
        assert asked - {"instance"} <= labels, query


def test_every_figure_is_exported_where_it_was_read() -> None:
    missing = {figure.metric for figure in FIGURES if of_gpu(samples(full()), figure.metric) is None}
    assert missing == {"DCGM_FI_DEV_FAN_SPEED", "DCGM_FI_DEV_RETIRED_PENDING"}, "these have a reason instead"


def test_throttle_reasons_have_nvmls_bits() -> None:
    pynvml = pytest.importorskip("pynvml")
    names = {
        "idle": "GpuIdle",
        "applications_clocks": "ApplicationsClocksSetting",
        "sw_power_cap": "SwPowerCap",
        "hw_slowdown": "HwSlowdown",
        "sync_boost": "SyncBoost",
        "sw_thermal": "SwThermalSlowdown",
        "hw_thermal": "HwThermalSlowdown",
        "hw_power_brake": "HwPowerBrakeSlowdown",
        "display": "DisplayClockSetting",
    }
    assert {
        name: getattr(pynvml, f"nvmlClocksThrottleReason{nvml}") for name, nvml in names.items()
    } == THROTTLE_BITS


def test_a_node_that_does_not_answer_has_no_old_figures() -> None:
    found = samples(full())
    assert of_gpu(found, "DCGM_FI_DEV_GPU_UTIL", "GPU-b0") is None
    assert {dict(labels)["state"]: value for labels, value in found["clusterview_node_up"].items()} == {
        "ok": 1,
        "hung": 0,
    }
    ages = {
        dict(labels)["node_id"]: value
        for labels, value in found["clusterview_node_reading_age_seconds"].items()
    }
    assert ages == pytest.approx({"a": 0.4, "b": 30.0})


def test_a_reading_that_is_too_old_is_not_served_as_fresh() -> None:
    node = Node(node_id="a", name="a", gpus=(gpu(0),))
    old = NodeReading(node_id="a", taken_at_s=NOW_S - 11, gpus=(READING,))
    assert of_gpu(samples(live(node, readings=(old,))), "DCGM_FI_DEV_GPU_UTIL") is None


def test_an_absent_figure_has_no_sample_and_a_lost_gpu_none_at_all() -> None:
    found = samples(full())
    assert "DCGM_FI_DEV_FAN_SPEED" not in found
    assert {name for name in found if of_gpu(found, name, "GPU-1") is not None and "MAX" not in name} == {
        "DCGM_FI_DEV_SLOWDOWN_TEMP",
        "DCGM_FI_DEV_SHUTDOWN_TEMP",
        "clusterview_gpu_usable",
    }
    assert of_gpu(found, "clusterview_gpu_usable", "GPU-1") == 0


def test_health_host_ports_and_deployments() -> None:
    found = samples(full())
    (finding,) = (dict(labels) for labels in found["clusterview_gpu_finding"])
    assert (finding["code"], finding["state"]) == ("throttled", "degraded")
    assert list(found["clusterview_host_cpu_percent"].values()) == [12.5]
    assert "clusterview_host_load1" not in found
    assert list(found["clusterview_port_up"].values()) == [1]
    assert list(found["clusterview_deployment_replicas_ready"].values()) == [1]
    assert list(found["clusterview_simulated"].values()) == [0]


def test_a_mig_slice_has_its_gpus_index() -> None:
    slice_ = gpu(8001, uuid="MIG-1", mig_parent_uuid="GPU-7")
    node = Node(node_id="a", name="a", gpus=(slice_,))
    reading = NodeReading(
        node_id="a", taken_at_s=NOW_S, gpus=(GpuReading(uuid="MIG-1", memory_free_bytes=2**30),)
    )
    (labels,) = (dict(labels) for labels in samples(live(node, readings=(reading,)))["DCGM_FI_DEV_FB_FREE"])
    assert (labels["gpu"], labels["device"], labels["GPU_I_ID"]) == ("7", "nvidia7", "1")


def test_equal_names_hostile_names_and_nothing_at_all() -> None:
    hostile = 'a"}\n evil{x="1\\'
    status = DeploymentStatus(name=hostile, model=hostile, label="", state="ready")  # type: ignore[arg-type]
    twins = [
        Node(
            node_id=node_id,
            name=hostile,
            gpus=(Gpu(index=0, uuid=f"u{node_id}", type=hostile, memory_total_bytes=None),),
        )
        for node_id in ("1", "2")
    ]
    found = samples(live(*twins, deployments=(status,)))
    assert len(found["clusterview_node_up"]) == 2 and not any("evil" in name for name in found)
    assert set(samples(live())) == {"clusterview_simulated"}
