"""Joining by address: a cluster without clusterview, and addresses without a cluster."""

from __future__ import annotations

import http.server
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.bridge.keeper.attach import attach
from cluster.bridge.keeper.embedded import ray_environment
from cluster.bridge.open_session import open_session
from cluster.cli.session_view import SessionView
from cluster.errors import BadInput, Unreachable
from tests.cluster.cli.run_clusterview import one_line_error, run_clusterview
from tests.ray.support import START_S, order, processes_of, wait_until

pytestmark = pytest.mark.ray

SPEC = "1x2xT4"


@pytest.fixture(scope="module")
def head(state_dir: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A running cluster: its address, and the environment that Ray needs to accept a driver."""
    attachment = attach(SPEC, lambda message, fraction: None)
    assert attachment is not None
    folder = str(Path(attachment.record.socket_path).parent)
    yield attachment.address, ray_environment(attachment.record.auth_token, folder)
    attachment.connection.close()
    assert wait_until(lambda: not processes_of(folder), 20), processes_of(folder)


@pytest.mark.long
def test_joining_and_deploying_by_address(
    head: tuple[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The probes answer, and a deployment serves."""
    address, environment = head
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with SessionView(open_session(address=address, simulate=None), shows_progress=False) as view:
        cluster = view.settled_cluster(START_S)
        assert view.session.title == f"ray {address}"
        assert [len(node.gpus) for node in cluster.nodes] == [2]
        view.session.deploy(order(cluster, "byaddress", [[(0, 1)]], planned_bytes=2**30)).result(START_S)
        assert view.wait(lambda: (s := view.find("byaddress")) is not None and s.state == "ready", START_S)
        view.session.stop("byaddress").result(START_S)


WHERE = """
import sys
from cluster.bridge.driver.ray_link import enter
ray = enter(sys.argv[1], ship_package=True)
@ray.remote(num_cpus=0)
def where():
    import cluster
    return cluster.__file__, sys.path, __import__("os").environ.get("PYTHONPATH")
print(ray.get(where.remote()))
"""


def test_the_package_travels_to_the_nodes(head: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    """A node of another cluster must run the package that the driver sent, not a folder of its name."""
    address, environment = head
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "__init__.py").write_text("raise RuntimeError('another package was imported')")
    done = subprocess.run(
        [sys.executable, "-P", "-c", WHERE, address],
        cwd=tmp_path,
        env={**os.environ, **environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=START_S,
        check=True,
    )
    assert "py_modules_files" in done.stdout


def test_a_wrong_token_is_reported(head: tuple[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    address, environment = head
    for name, value in {**environment, "RAY_AUTH_TOKEN": "wrong"}.items():
        monkeypatch.setenv(name, value)
    with SessionView(open_session(address=address, simulate=None), shows_progress=False) as view:
        with pytest.raises(
            Unreachable, match=r"rejected the connection: the token in RAY_AUTH_TOKEN"
        ) as refused:
            view.settled_cluster(START_S)
        assert "wrong" not in refused.value.one_line()


def lost_reason(address: str) -> str:
    with SessionView(open_session(address=address, simulate=None), shows_progress=False) as view:
        with pytest.raises((Unreachable, BadInput)) as refused:
            view.settled_cluster(START_S)
        return refused.value.one_line()


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert "connection refused" in lost_reason(f"127.0.0.1:{port}")


def test_somebody_listens_and_says_nothing() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert "accepts connections but did not respond" in lost_reason(
            f"127.0.0.1:{silent.getsockname()[1]}"
        )


def test_a_web_server_is_not_a_ray_head() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert "not a Ray head" in lost_reason(f"127.0.0.1:{server.server_address[1]}")
    finally:
        server.shutdown()


@pytest.mark.parametrize(
    "address", ["nonsense", "host:", ":6379", "host:99999", "ray://host:10001", "h:6379\x1b[2J"]
)
def test_an_invalid_address_is_refused_in_one_line(address: str) -> None:
    line = one_line_error(run_clusterview("status", "--address", address))
    assert line.isprintable()


def test_the_environment_is_as_it_was() -> None:
    """These tests must not leave a token behind for later ones."""
    assert "RAY_AUTH_TOKEN" not in os.environ
