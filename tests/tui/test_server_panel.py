"""An engine's servers in the deployment panel: phases, metrics, predicted beside measured, last lines."""

from __future__ import annotations

import pytest

from cluster.deploy.status import DeploymentStatus
from tests.tui.builders import make_cluster, make_deployment
from tests.tui.servers import LAST_LOG, failed_server, serving_server, starting_server
from tui.styles import Styles
from tui.themes import DARK
from tui.widgets.deployment_text import deployment_lines

LOOK = Styles(DARK)
CLUSTER = make_cluster(simulated=False)


def lines(status: DeploymentStatus, width: int = 118, room: int = 100) -> list[str]:
    return [line.plain.rstrip() for line in deployment_lines(status, {}, width, LOOK, room)]


def row(of: list[str], start: str) -> str:
    return next(line for line in of if line.startswith(start))


def test_a_server_that_starts_shows_its_phase_and_progress() -> None:
    shown = lines(starting_server(CLUSTER))
    assert "○ loading weights" in row(shown, "R0 node-0") and "43% · 12 s" in row(shown, "R0 node-0")
    assert "○ capturing CUDA graphs" in row(shown, "R1 node-1") and "71%" in row(shown, "R1 node-1")
    assert not any(line.startswith("R0·T0") for line in shown), "one line says it for all ranks of a server"


def test_what_is_measured_stands_beside_its_prediction_with_the_error() -> None:
    shown = lines(serving_server(CLUSTER))
    assert row(shown, "weights").split() == ["weights", "32.9", "GiB", "32.9", "GiB", "-0.1%"]
    assert row(shown, "KV tokens").split() == ["KV", "tokens", "456,130", "448,256", "-1.7%"]
    assert row(shown, "throughput").endswith("2,484 tok/s   ! +29%")
    assert "214 ms (170–290)" in row(shown, "TTFT") and row(shown, "TTFT").endswith("+7.9%")
    assert row(shown, "not measured") == "not measured: non-torch: the engine did not log it"


def test_a_light_load_has_no_error_and_says_why() -> None:
    shown = lines(serving_server(CLUSTER, in_flight=3))
    assert row(shown, "throughput").endswith("n/a")
    assert row(shown, "not compared") == (
        "not compared: throughput, TTFT, TPOT: the prediction is for 64 requests at a time; now there are 6"
    )
    assert row(shown, "weights").endswith("-0.1%")


def test_metrics_of_the_engine_are_columns() -> None:
    shown = lines(serving_server(CLUSTER))
    assert row(shown, "replica").split("  ")[-1] == "restarts"
    assert row(shown, "R0").split() == [
        *("R0", "●", "ready", "31", "2", "1,262", "41%", "62%", "1,204", "231", "ms", "27.9", "ms", "0")
    ]


def test_a_replica_that_drains_says_so() -> None:
    status = serving_server(CLUSTER)
    drains = status.replicas[1].model_copy(update={"draining": True})
    shown = lines(status.model_copy(update={"replicas": (status.replicas[0], drains)}))
    assert "drains" in row(shown, "R1")


@pytest.mark.parametrize("room", range(6, 40))
@pytest.mark.parametrize("make", [starting_server, serving_server, failed_server])
def test_it_takes_no_more_lines_than_there_are(make: object, room: int) -> None:
    status = make(CLUSTER)  # type: ignore[operator]
    least = len(lines(status, 76, 1))
    assert len(lines(status, 76, room)) <= max(room, least)
    assert least <= 9


@pytest.mark.parametrize("width", [76, 116, 156, 236])
@pytest.mark.parametrize("make", [starting_server, serving_server])
def test_tables_fit_their_width(make: object, width: int) -> None:
    for line in lines(make(CLUSTER), width):  # type: ignore[operator]
        assert len(line) <= width or line.startswith(("● ready", "○ starting"))


def test_where_lines_are_few_the_errors_still_show() -> None:
    shown = lines(serving_server(CLUSTER), 76, 11)
    assert "2,484 tok/s" in row(shown, "throughput") and "! +29%" in row(shown, "throughput")
    assert any("KV tokens" in line and "-1.7%" in line for line in shown)
    assert row(shown, "R1").split()[2] == "ready"


@pytest.mark.parametrize(("room", "expected"), [(100, 6), (7, 3), (4, 0)])
def test_a_failure_shows_the_last_of_its_last_lines(room: int, expected: int) -> None:
    shown = lines(failed_server(CLUSTER), 200, room)
    found = [line for line in shown if line in LAST_LOG]
    assert found == list(LAST_LOG[len(LAST_LOG) - expected :])
    assert any(line.startswith("last lines of R0") for line in shown) == bool(expected)


def test_the_builtin_engine_keeps_its_two_lines() -> None:
    shown = lines(make_deployment(make_cluster(), serving=True))
    assert row(shown, "rate") and not any(line.startswith("throughput") for line in shown)
