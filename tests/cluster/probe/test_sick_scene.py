"""A machine of sick GPUs, from the driver's library to the plan: read, judged, planned around, reported."""

from __future__ import annotations

import json

import pytest

from cluster.cli.main import main
from cluster.cli.this_machine import read_this_machine
from cluster.inventory import Cluster
from tests.cluster.planner.ask import LLAMA_70B, ask, best
from tests.cluster.probe.conftest import Control, FakeNvml

HW_SLOWDOWN, HW_THERMAL, HW_POWER_BRAKE = 0x8, 0x40, 0x80

USUAL = {
    "max_sm_clock": 1980,
    "sm_clock": 1900,
    "slowdown_temperature": 92,
    "default_power_limit_mw": 700_000,
    "power_limit_mw": 700_000,
    "max_pcie_generation": 5,
    "pcie_generation": 5,
    "links": 18,
}
SICK = (
    "set utilization 0 97",
    "set utilization 1 100",
    "set temperature 1 91",
    "set sm_clock 1 345",
    f"set throttle_reasons 1 {HW_SLOWDOWN | HW_THERMAL}",
    "set remap_pending 2 1",
    "set volatile_uncorrected 2 2",
    "set aggregate_uncorrected 2 12",
    "set links_down 3 15",
    "set pcie_generation 4 1",
    "set pcie_width 4 4",
    "set remap_failed 6 1",
    "set volatile_uncorrected 6 5",
    "set power_limit_mw 7 300000",
    "set sm_clock 7 990",
    f"set throttle_reasons 7 {HW_SLOWDOWN | HW_POWER_BRAKE}",
)


@pytest.fixture
def sick_driver(fake_nvml: FakeNvml, control: Control) -> dict[str, str]:
    """Return the environment of a process whose driver shows eight H100, of which none is well."""
    usual = [f"set {name} {gpu} {value}" for gpu in range(8) for name, value in USUAL.items()]
    # The first line that names a figure of a GPU holds.
    control.say(*SICK, *usual)
    return fake_nvml(gpus=8, product="NVIDIA H100 80GB HBM3", lost=5, control=control.path)


def test_the_scene_is_read_judged_and_planned_around(sick_driver: dict[str, str]) -> None:
    cluster = read_this_machine(env=sick_driver)
    assert codes(cluster) == [
        ["busy"],
        ["throttled", "hot", "busy"],
        ["ecc_uncorrectable", "remap_pending"],
        ["nvlinks_down"],
        ["pcie_narrow"],
        ["lost"],
        ["ecc_uncorrectable", "remap_failed"],
        ["power_brake", "power_capped"],
    ]
    answer = ask(LLAMA_70B, cluster)
    used = {place.gpu_index for place in best(answer).placement}
    assert used.isdisjoint({2, 5, 6}), "unhealthy"
    assert 1 not in used, "a replica at 17% of its clock is worse than one on fewer GPUs"
    assert "because no usable GPU is healthy" in best(answer).notes[0]


def codes(cluster: Cluster) -> list[list[str]]:
    healths = [gpu.health for gpu in cluster.nodes[0].gpus]
    return [[finding.code for finding in health.findings] if health else [] for health in healths]


def test_commands_on_that_machine_say_so(
    sick_driver: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = read_this_machine(env=sick_driver)
    monkeypatch.setattr("cluster.cli.this_machine.read_this_machine", lambda: cluster)
    assert main(["doctor", "--json"]) == 2
    told = {one["subject"]: one["told"] for one in json.loads(capsys.readouterr().out)["findings"]}
    name = cluster.nodes[0].name
    assert told[f"{name} GPU 3"] == "degraded: 4 of 18 NVLinks down"
    assert told[f"{name} GPU 1"].startswith(
        "degraded: throttled: 345 of 1,980 MHz (hardware thermal slowdown); hot: 91 C (slows down at 92 C)"
    )
    assert main(["snapshot"]) == 0
    gpus = json.loads(capsys.readouterr().out)["cluster"]["nodes"][0]["gpus"]
    assert [gpu["health"]["state"] for gpu in gpus].count("unhealthy") == 3
