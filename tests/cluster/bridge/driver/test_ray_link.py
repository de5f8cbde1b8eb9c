"""What is said when a Ray head answers and yet does not take us in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from cluster.bridge.driver import ray_link
from cluster.errors import Unreachable

VERSIONS = """Version mismatch: The cluster was started with:
    Ray: 2.59.0
    Python: 3.12.3
This process on 10.0.0.1 was started with:
    Ray: 2.60.0
    Python: 3.11.7
"""


def why(monkeypatch: pytest.MonkeyPatch, error: Exception, last_words: str = "") -> str:
    """Return the line for `error` of ray.init, after Ray's C++ part logged `last_words`."""

    def init(**options: object) -> None:
        raise ConnectionError("Failed to connect to Ray cluster at h:1") from error

    ray = ModuleType("ray")
    ray.init = init  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(ray_link, "_end_of_log", lambda: last_words)
    monkeypatch.setattr(ray_link, "check_is_node", lambda address: None)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(Unreachable) as refused:
        ray_link.enter("h:1", ship_package=False)
    return refused.value.one_line()


def test_other_versions_and_the_way_round_them(monkeypatch: pytest.MonkeyPatch) -> None:
    line = why(monkeypatch, RuntimeError(VERSIONS))
    assert (
        "versions differ from those of the cluster at h:1: The cluster was started with: Ray: 2.59.0" in line
    )
    assert "from the cluster's own environment" in line


def test_only_a_refused_token_is_called_one(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = "Failed to get cluster ID: Unauthenticated: RPC error: InvalidAuthToken"
    assert "rejected the connection" in why(monkeypatch, RuntimeError(""), refused)
    assert "token" not in why(monkeypatch, RuntimeError("no route"), "some other trouble")


def test_a_server_that_is_no_head(monkeypatch: pytest.MonkeyPatch) -> None:
    line = why(monkeypatch, RuntimeError(""), "RPC error: Method not found! rpc_code: 12")
    assert "is not a Ray head" in line
    assert "nor of Ray Client" in line


def test_a_machine_of_another_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    line = why(monkeypatch, RuntimeError("No node info found matching attributes: ''"))
    assert "this machine is not a node of the Ray cluster at h:1" in line


def test_end_of_log_are_the_end_of_the_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("x" * 10000 + "the end")
    with log.open("rb") as opened:
        monkeypatch.setattr(ray_link, "_STDERR_FD", opened.fileno())
        assert ray_link._end_of_log().endswith("the end")
        assert len(ray_link._end_of_log()) < 10000


LATE_CALL = """
from cluster.bridge.driver.ray_link import never_start_a_cluster
never_start_a_cluster()
import ray
try:
    ray.nodes()
except Exception as error:
    print(type(error).__name__, ray.is_initialized())
"""


def test_a_call_outside_a_cluster_starts_none() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LATE_CALL], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split()[-1] == "False"
