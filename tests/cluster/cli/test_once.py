"""`--once`: the contract of its JSON, its table, and what is absent with the reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cluster.bridge.events import ClusterSeen, DeploymentsSeen, DetailsSeen, ReadingsSeen
from cluster.cli.live_view import LiveView
from cluster.cli.once_json import live_json
from cluster.cli.once_table import live_lines
from cluster.cli.style import Style
from cluster.detail import GpuDetail
from cluster.gpu_facts import GpuFacts
from cluster.inventory import GpuProcess, Node
from cluster.metrics.live_state import LiveState
from cluster.telemetry import GpuReading, NodeReading
from tests.cluster.cli.run_clusterview import one_line_error, run_clusterview
from tests.cluster.cli.test_settled_cluster import Script
from tests.cluster.metrics.live import NOW_S, READING, full, gpu, live

CONTRACT = {
    "index",
    "uuid",
    "type",
    "memory_total_bytes",
    "memory_used_bytes",
    "utilization",
    "temperature_c",
    "power_w",
    "power_limit_w",
    "clock_sm_mhz",
    "clock_sm_max_mhz",
    "throttle_reasons",
    "pcie",
    "nvlinks",
    "ecc",
    "health",
    "processes",
    "absent",
}
"""Names that scripts read."""


def document(state: LiveState) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(json.dumps(live_json(state), allow_nan=False))
    return answer


def lines(state: LiveState) -> list[str]:
    return list(live_lines(state, Style(colored=False)))


def test_the_names_that_scripts_read() -> None:
    answer = document(full())
    assert answer["schema_version"] == 1 and answer["taken_at_s"] == NOW_S
    for node in answer["nodes"]:
        assert {"name", "state", "age_s", "host", "gpus"} <= set(node)
        assert all(set(one) >= CONTRACT for one in node["gpus"])


def test_values_of_a_gpu() -> None:
    node = document(full())["nodes"][0]
    one = node["gpus"][0]
    assert (node["state"], node["age_s"], node["driver_version"]) == ("ok", 0.4, "550.163.01")
    assert (node["host"]["cpu_percent"], node["ports"][0]["name"]) == (12.5, "mlx5_0/1")
    assert (one["utilization"], one["clock_sm_mhz"], one["clock_sm_max_mhz"]) == (97.0, 345.0, 1410.0)
    assert one["throttle_reasons"] == ["hw_thermal", "sw_power_cap"]
    assert one["pcie"] == {
        "generation": 1,
        "width": 4,
        "max_generation": 4,
        "max_width": 16,
        "replays": 17,
        "received_bytes_per_s": 1e6,
        "sent_bytes_per_s": 2e6,
    }
    assert [link["active"] for link in one["nvlinks"]] == [True, False]
    assert (one["ecc"]["volatile_uncorrected"], one["ecc"]["remap_pending"]) == (2, True)
    assert one["health"]["verdict"] == "degraded"
    assert one["health"]["reasons"] == ["throttled: 345 of 1,410 MHz"]
    (process,) = one["processes"]
    assert {"pid": 4242, "user": "alice", "command": "python -m vllm serve"}.items() <= process.items()


def nulls(value: Any, path: str = "") -> set[str]:
    """Return the figures without a value: 'fan_percent', 'pcie.width'."""
    if not isinstance(value, dict):
        return {path} if value is None else set()
    return {null for name, part in value.items() for null in nulls(part, f"{path}.{name}" if path else name)}


NOT_FIGURES = {
    "numa_node",
    "compute_capability",
    "nvlink_island",
    "mig_parent_uuid",
    "claimed_by",
    "error",
    "unhealthy_reason",
    "excluded_reason",
    "pci_bus_id",
}


@pytest.mark.parametrize("position", [(0, 0), (0, 1), (1, 0)])
def test_every_figure_without_a_value_has_a_reason(position: tuple[int, int]) -> None:
    node, number = position
    one = document(full())["nodes"][node]["gpus"][number]
    without = {name for name in nulls(one) if not name.startswith("absent")} - NOT_FIGURES
    assert without <= set(one["absent"]), without - set(one["absent"])
    assert ("temperature_c" in one["absent"]) == (one["temperature_c"] is None)


def test_reasons_are_those_of_who_read_and_of_the_node() -> None:
    a, b = document(full())["nodes"]
    assert a["gpus"][0]["absent"]["fan_percent"] == "not supported by this GPU"
    assert a["gpus"][0]["absent"]["ecc.retired_pages"] == "this GPU remaps rows instead"
    assert a["host"]["absent"]["load_1m"] == "psutil is not installed"
    assert b["gpus"][0]["absent"]["power_w"] == "no value was read"
    assert b["gpus"][0]["absent"]["pcie.width"] == "gpu-b is hung"
    assert (b["state"], b["reason"], b["age_s"]) == ("hung", "a call", 30.0)


def test_new_figures_of_the_probe_appear_by_themselves() -> None:
    one = document(full())["nodes"][0]["gpus"][0]
    named = {**{name: name for kind in (GpuReading, GpuFacts, GpuDetail) for name in kind.model_fields}}
    assert "energy_j" in named and "bar1_used_bytes" in one and "max_power_limit_w" in one


def test_a_cluster_of_a_spec_has_no_readings_and_says_so() -> None:
    done = run_clusterview("--once", "--json", "--cluster", "1x2xH100")
    (node,) = json.loads(done.stdout)["nodes"]
    assert done.returncode == 0 and (node["state"], node["age_s"]) == ("unread", None)
    assert node["gpus"][0]["memory_total_bytes"] > 0
    assert "from a spec" in node["gpus"][0]["absent"]["utilization"]


def test_the_table() -> None:
    text = "\n".join(lines(full()))
    assert text.splitlines()[0].startswith("ray 10.0.0.1:6379  2026-")
    assert "2 nodes, 3 GPUs" in text
    assert "gpu-a  read 0.4 s ago  CPU 12 %  RAM 112.0/512.0 GiB  disk 900.0 GiB free  driver 550" in text
    row = next(line for line in lines(full()) if "97 %" in line)
    assert " ".join(row.split()) == (
        "0 A100-80GB 97 % 71.0/80.0 GiB 91 C 302/400 W 345/1,410 MHz llama "
        "degraded: throttled: 345 of 1,410 MHz"
    )
    assert "4242  alice  70.0 GiB  93 %  python -m vllm serve" in text
    assert "unhealthy: GPU is lost" in text
    assert "gpu-b  read 30.0 s ago  hung  a call" in text
    assert "llama (TP=1): ready, 1 of 1 replica ready, 1,234 tokens/s" in text


def test_figures_of_a_node_that_does_not_answer_are_not_shown_as_now() -> None:
    row = lines(full())[-3]
    assert row.split()[:4] == ["0", "A100-80GB", "n/a", "n/a/80.0"], row


def test_processes_that_cannot_be_named_and_too_many_of_them() -> None:
    strangers = tuple(GpuProcess(pid=number, other_namespace=True) for number in range(1, 60))
    node = Node(node_id="a", name="a", gpus=(gpu(0),))
    reading = READING.model_copy(update={"processes": strangers})
    text = "\n".join(
        lines(live(node, readings=(NodeReading(node_id="a", taken_at_s=NOW_S, gpus=(reading,)),)))
    )
    assert "of another PID namespace" in text and "and 19 more processes; all are in --json" in text


def test_a_view_keeps_what_comes_in_parts() -> None:
    state = full()
    a, b = state.readings.values()
    session = Script(
        ClusterSeen(cluster=state.cluster),
        ReadingsSeen(nodes=(a,)),
        ReadingsSeen(nodes=(b,)),
        DetailsSeen(nodes=tuple(state.details.values())),
        DeploymentsSeen(deployments=state.deployments),
    )
    with LiveView(session, shows_progress=False) as view:
        view.wait(lambda: view.deployments is not None, 20.0)
        now = view.now()
    assert (now.readings, now.details) == (state.readings, state.details)
    assert now.deployments == state.deployments


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--watch", "5"), "--watch repeats --once"),
        (("--once", "--watch", "0"), "not an interval"),
        (("--once", "--watch", "nan"), "not an interval"),
        (("--once", "--dry-run"), "cannot be combined"),
        (("--once", "--at", "+5"), "Add --replay FILE"),
        (("--once", "--replay", "no-such-file"), "No such file"),
        (("--once", "--replay", "x", "--watch", "1"), "does not change"),
        (("--once", "--replay", "x", "--cluster", "1xL4"), "cannot be combined"),
        (("--once", "--replay", "x", "--at", "noon"), "is not a moment"),
        (("--replay", "x", "deploy"), "deploy does not take --replay"),
        (("--once", "status"), "status does not take --once"),
        (("metrics", "--host", "0.0.0.0"), "Add --port N"),
        (("metrics", "--port", "0"), "is not a port"),
        (("metrics", "--port", "9", "--host", "0.0.0.0"), "needs an API key"),
        (("record", "f", "--cluster", "1xL4"), "nothing happens on a cluster from a file"),
        (("record", "f", "--duration", "soon"), "not a length of time"),
        (("record", "no/such/folder/f"), "cannot write no/such/folder/f"),
    ],
)
def test_options_that_make_no_sense_are_one_line(arguments: tuple[str, ...], words: str, capsys: Any) -> None:
    from tui.__main__ import main

    assert main(arguments) == 2
    done = capsys.readouterr()
    assert words in done.err and done.out == "" and len(done.err.splitlines()) == 1


def test_an_unknown_verb_beside_it_stays_an_error() -> None:
    assert "invalid choice" in one_line_error(run_clusterview("--once", "bogus"))
