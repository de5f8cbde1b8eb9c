"""What makes a GPU degraded or unhealthy, with which evidence, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.detail import EccCounts, NvLinkReading, XidEvent
from cluster.gpu_facts import GpuFacts
from cluster.gpu_health import Health, health_to_json
from cluster.health.judge import with_health
from cluster.health.thresholds import thresholds
from cluster.inventory import GpuProcess
from tests.cluster.health.scene import NOW_S, links, one_gpu, sick_node


def health_of(
    reading: dict[str, Any] | None = None, detail: dict[str, Any] | None = None, **gpu: Any
) -> Health:
    judged = with_health(*one_gpu(reading, detail, **gpu)).gpus[0].health
    assert judged is not None
    return judged


def codes(health: Health | None) -> list[str]:
    assert health is not None
    return [finding.code for finding in health.findings]


def test_every_gpu_of_the_scene_gets_its_verdict_with_evidence() -> None:
    gpus = with_health(*sick_node()).gpus
    assert [gpu.health.state if gpu.health else None for gpu in gpus] == [
        "degraded",
        "degraded",
        "unhealthy",
        "degraded",
        "degraded",
        "unhealthy",
        "unhealthy",
        "degraded",
    ]
    assert [codes(gpu.health) for gpu in gpus] == [
        ["busy"],
        ["throttled", "hot", "busy"],
        ["ecc_uncorrectable", "remap_pending"],
        ["nvlinks_down"],
        ["pcie_narrow"],
        ["lost"],
        ["ecc_uncorrectable", "remap_failed", "xid"],
        ["power_brake", "power_capped"],
    ]
    texts = [finding.text for gpu in gpus if gpu.health for finding in gpu.health.findings]
    assert texts == [
        "97% busy with pid 4711 (python3, alice)",
        "throttled: 345 of 1,980 MHz (hardware thermal slowdown)",
        "hot: 91 C (slows down at 92 C)",
        "100% busy",
        "2 uncorrectable memory errors (ECC) since the driver was loaded",
        "a memory row is to be remapped at the next GPU reset",
        "4 of 18 NVLinks down",
        "PCIe gen1 x4 of gen5 x16",
        "the GPU is lost (fell off the bus); see the kernel log for its Xid",
        "5 uncorrectable memory errors (ECC) since the driver was loaded",
        "remapping of a faulty memory row failed; the GPU needs repair",
        "Xid 94: contained memory error",
        "hardware power brake: 990 of 1,980 MHz",
        "power limit 300 of 700 W",
    ]
    assert [gpu.index for gpu in gpus if not gpu.healthy] == [2, 5, 6]
    assert gpus[2].unhealthy_reason == texts[4]


def test_slowdown_is_what_the_figures_say() -> None:
    slowdowns = [gpu.health.slowdown if gpu.health else None for gpu in with_health(*sick_node()).gpus]
    throttled, narrow, few_links = slowdowns[1], slowdowns[4], slowdowns[3]
    assert throttled and narrow and few_links
    assert throttled.compute == pytest.approx(345 / 1980)
    assert throttled.memory == pytest.approx(2 * 345 / 1980)
    assert few_links.nvlink == pytest.approx(14 / 18)
    assert few_links.compute == narrow.compute == 1.0
    assert narrow.pcie == pytest.approx(0.25 * 4 / (3.938 * 16))


def test_a_gpu_that_is_well_is_healthy_and_judged() -> None:
    assert health_of() == Health()


def test_without_any_reading_nothing_is_held_against_a_gpu() -> None:
    node, _, _ = one_gpu(facts=None)
    assert with_health(node, None, None).gpus[0].health == Health()


@pytest.mark.parametrize(
    ("reading", "detail"),
    [
        pytest.param(
            {"throttle_reasons": ("sw_power_cap",), "utilization_percent": 40.0}, {}, id="at its power"
        ),
        pytest.param({"throttle_reasons": ("idle",), "sm_clock_mhz": 345.0}, {}, id="idle clocks"),
        pytest.param({"performance_state": 8}, {"pcie_generation": 1}, id="PCIe saves power while idle"),
        pytest.param(
            {"throttle_reasons": ("idle",)}, {"pcie_generation": 1}, id="idle at the fastest P-state"
        ),
        pytest.param({}, {"links": links(num_down=18)}, id="no bridge anywhere"),
        pytest.param({}, {"links": ()}, id="no NVLink"),
        pytest.param({}, {"ecc": EccCounts(aggregate_uncorrected=9)}, id="ECC errors long ago"),
        pytest.param({}, {"xids": (XidEvent(code=31, at_s=NOW_S),)}, id="an application's Xid"),
        pytest.param({}, {"xids": (XidEvent(code=94, at_s=NOW_S - 7200),)}, id="an old Xid"),
        pytest.param({"utilization_percent": 30.0}, {}, id="a little use"),
        pytest.param({"temperature_c": 85.0}, {}, id="warm"),
    ],
)
def test_usual_states_are_no_findings(reading: dict[str, Any], detail: dict[str, Any]) -> None:
    assert codes(health_of(reading, detail)) == []


@pytest.mark.parametrize(
    ("reading", "detail", "code", "text"),
    [
        (
            {"throttle_reasons": ("sw_thermal",), "sm_clock_mhz": 1500.0},
            {},
            "throttled",
            "throttled: 1,500 of 1,980 MHz (software thermal slowdown)",
        ),
        (
            {"throttle_reasons": (), "utilization_percent": 95.0, "sm_clock_mhz": 600.0},
            {},
            "throttled",
            "throttled: 600 of 1,980 MHz while 95% busy (the driver gives no reason)",
        ),
        ({}, {"pcie_width": 8}, "pcie_narrow", "PCIe x8 of x16"),
        ({}, {"pcie_generation": 1}, "pcie_narrow", "PCIe gen1 x16 of gen5 x16"),
        ({}, {"retirement_pending": True}, "retirement_pending", "memory pages are to be retired"),
        ({}, {"recovery_action": "GPU reset"}, "recovery_action", "recovery action: GPU reset"),
        ({}, {"fabric_problems": ("route unhealthy",)}, "fabric_degraded", "NVLink fabric: route unhealthy"),
        ({}, {"xids": (XidEvent(code=79, at_s=NOW_S - 7200),)}, "xid_fatal", "Xid 79: GPU fell off the bus"),
        (
            {},
            {"links": links(errors=5000)},
            "nvlink_errors",
            "5,000 NVLink errors since the driver was loaded, most on link 0",
        ),
        ({"error": "the GPU must be reset"}, {}, "needs_reset", "the GPU must be reset"),
        ({"error": "nvmlDeviceGetName did not return"}, {}, "reads_fail", "did not return"),
    ],
)
def test_findings(reading: dict[str, Any], detail: dict[str, Any], code: str, text: str) -> None:
    health = health_of(reading, detail)
    assert code in codes(health)
    (finding,) = (one for one in health.findings if one.code == code)
    assert text in finding.text
    assert finding.state == thresholds().findings[code].state


def test_all_links_down_behind_a_switch_is_unhealthy() -> None:
    node, reading, detail = sick_node()
    dark = detail.gpus[0].model_copy(update={"links": links(num_down=18, remote=None)})
    detail = detail.model_copy(update={"gpus": (dark, *detail.gpus[1:])})
    gpu = with_health(node, reading, detail).gpus[0]
    assert gpu.unhealthy_reason == "all 18 NVLinks down"


def test_links_without_a_switch_are_compared_with_the_best_connected_neighbor() -> None:
    """Boards wire and bridge what they like: 12 of 18 on every GPU is how this machine is built."""
    node, reading, detail = sick_node()
    wired = [links(num_down=6, remote="0000:1B:00.0")] * 7 + [links(num_down=8, remote="0000:1B:00.0")]
    gpus = tuple(gpu.model_copy(update={"links": own}) for gpu, own in zip(detail.gpus, wired, strict=True))
    judged = with_health(node, reading, detail.model_copy(update={"gpus": gpus}))
    found = [[f.text for f in gpu.health.findings if "NVLink" in f.text] for gpu in judged.gpus if gpu.health]
    assert found == [[]] * 7 + [["2 of 12 NVLinks down"]]


def test_somebody_is_busy_but_not_a_deployment_that_is_known() -> None:
    process = GpuProcess(pid=7, name="train", sm_percent=80.0)
    busy = {"utilization_percent": 90.0, "processes": (GpuProcess(pid=8), process)}
    assert [one.text for one in health_of(busy).findings] == ["90% busy with pid 7 (train) and 1 more"]
    assert codes(health_of(busy, claimed_by="llama")) == []


def test_one_finding_per_code_and_the_worst_first() -> None:
    reason = "remapping of a faulty memory row failed; the GPU needs repair"
    health = health_of({"temperature_c": 95.0}, {"remap_failed": True}, unhealthy_reason=reason)
    assert codes(health) == ["remap_failed", "hot"]


def test_judging_a_judged_node_again_drops_the_former_verdict() -> None:
    node, reading, detail = one_gpu(detail={"ecc": EccCounts(volatile_uncorrected=1)})
    sick = with_health(node, reading, detail)
    assert not sick.gpus[0].healthy
    assert with_health(sick, reading, detail) == sick
    _, reading, detail = one_gpu()
    assert with_health(sick, reading, detail).gpus[0].healthy


def test_a_reason_from_the_reader_stays() -> None:
    node, reading, detail = one_gpu(unhealthy_reason="the GPU is no longer there")
    once = with_health(node, reading, detail)
    assert codes(once.gpus[0].health) == ["lost"]
    assert not with_health(once, reading, detail).gpus[0].healthy


def test_figures_of_a_node_that_does_not_answer_count_no_more() -> None:
    node, reading, detail = one_gpu({"temperature_c": 95.0})
    gone = reading.model_copy(update={"state": "hung"})
    assert with_health(node, gone, detail).gpus[0].health == Health()


def test_missing_limits_are_no_evidence() -> None:
    health = health_of(
        {"sm_clock_mhz": 345.0, "utilization_percent": 100.0, "power_limit_w": 300.0},
        {"pcie_generation": 1, "pcie_width": 4, "links": (NvLinkReading(link=0, active=False),)},
        facts=GpuFacts(),
        claimed_by="ours",
    )
    assert codes(health) == []


def test_json_has_the_verdict_its_reasons_and_codes() -> None:
    gpu = with_health(*sick_node()).gpus[3]
    assert health_to_json(gpu.health) == {
        "verdict": "degraded",
        "reasons": ["4 of 18 NVLinks down"],
        "findings": [{"code": "nvlinks_down", "state": "degraded", "text": "4 of 18 NVLinks down"}],
        "slowdown": {"compute": 1.0, "memory": 1.0, "nvlink": pytest.approx(14 / 18), "pcie": 1.0},
    }
    assert health_to_json(None) is None


def test_every_code_that_a_check_yields_has_its_thresholds() -> None:
    known = thresholds()
    assert set(known.reported.values()) <= set(known.findings)
    ranks = [known.rank(code) for code in known.findings]
    assert ranks == sorted(ranks)
    states = [rule.state for rule in known.findings.values()]
    assert states == sorted(states, reverse=True), "unhealthy ones come first"
