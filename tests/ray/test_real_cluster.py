"""The commands on a real Ray cluster: `ray start` nodes, read through NVML, protected by a token."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from os import kill
from pathlib import Path

import pytest

from cluster.bridge.open_session import open_session
from cluster.cli.session_view import SessionView
from cluster.inventory import Cluster
from tests.cluster.cli.run_clusterview import one_line_error, run_clusterview
from tests.ray.real_ray import RealNode, RealRay, new_token
from tests.ray.support import START_S

pytestmark = [pytest.mark.ray, pytest.mark.alone]

AMD = "Ray counts 8 GPUs, NVML shows none (no NVIDIA driver library (libnvidia-ml.so.1), and the amdgpu"


@pytest.fixture(scope="module")
def head(state_dir: Path, fake_nvml_library: Path) -> Iterator[RealRay]:
    """A head without a GPU, and nothing else yet."""
    with RealRay(fake_nvml_library, token=new_token()) as ray:
        ray.start_head()
        yield ray


@pytest.fixture(scope="module")
def real(head: RealRay) -> RealRay:
    """Two nodes with GPUs, and one whose GPUs NVML does not show."""
    head.start_nodes(
        RealNode("gpu-a", nvml_gpus=4),
        RealNode("gpu-b", nvml_gpus=2),
        RealNode("amd", nvml_gpus=None, num_gpus=8),
    )
    return head


@pytest.fixture
def driver(real: RealRay, monkeypatch: pytest.MonkeyPatch) -> RealRay:
    """The cluster, with this process's environment set so that a session can join it."""
    for name, value in real.ray_environment().items():
        monkeypatch.setenv(name, value)
    return real


def without_auth(ray: RealRay, **changes: str) -> dict[str, str]:
    """Return a user's environment without a token, plus `changes`."""
    environment = ray.user_environment(HOME=ray.folder)
    return {name: value for name, value in environment.items() if not name.startswith("RAY_AUTH")} | changes


def gpus_of(cluster: Cluster) -> dict[str, int]:
    return {node.name: len(node.gpus) for node in cluster.nodes}


def errors_of(cluster: Cluster) -> dict[str, str]:
    return {node.name: node.error for node in cluster.nodes if node.error}


def test_without_a_gpu_one_line_says_so(head: RealRay) -> None:
    line = one_line_error(run_clusterview("--dry-run", "--address", head.address, **head.user_environment()))
    assert f"no GPU on ray {head.address}: neither Ray nor NVML reports one on head" in line


def test_a_dry_run_sees_every_node(real: RealRay) -> None:
    """The token is found in RAY_AUTH_TOKEN although RAY_AUTH_MODE is not set."""
    environment = without_auth(real, RAY_AUTH_TOKEN=str(real.token))
    done = run_clusterview("--dry-run", "--json", "--address", real.address, **environment)
    assert done.returncode == 0, done.stderr
    nodes = {node["name"]: node for node in json.loads(done.stdout)["cluster"]["nodes"]}
    assert {name: len(node["gpus"]) for name, node in nodes.items()} == {
        "amd": 0,
        "gpu-a": 4,
        "gpu-b": 2,
        "head": 0,
    }
    assert AMD in nodes["amd"]["error"]
    assert [nodes[name]["error"] for name in ("gpu-a", "gpu-b", "head")] == [None, None, None]
    assert f"clusterview: node amd: {AMD}" in done.stderr
    assert "Install the GPU driver there" in done.stderr
    assert "this machine" not in done.stderr


def test_a_snapshot_of_the_cluster_that_runs_here(real: RealRay, tmp_path: Path) -> None:
    """'auto' finds the head, and RAY_AUTH_TOKEN_PATH the token."""
    token, output = tmp_path / "token", tmp_path / "seen.json"
    token.write_text(f"{real.token}\n")
    environment = without_auth(real, RAY_AUTH_TOKEN_PATH=str(token), RAY_TMPDIR=real.folder)
    done = run_clusterview("snapshot", "-o", str(output), "--address", "auto", **environment)
    assert done.returncode == 0, done.stderr
    assert f"node amd: {AMD}" in done.stderr
    assert "wrote 4 nodes, 6 GPUs" in done.stderr
    assert run_clusterview("--dry-run", "--cluster", str(output)).returncode == 0


def test_doctor_names_what_is_wrong_with_a_node(real: RealRay) -> None:
    """The address comes from RAY_ADDRESS, the token from ~/.ray/auth_token."""
    file = Path(real.folder, ".ray", "auth_token")
    file.parent.mkdir()
    file.write_text(str(real.token))
    done = run_clusterview("doctor", "--json", **without_auth(real, RAY_ADDRESS=real.address))
    file.unlink()
    assert done.returncode == 1, done.stderr
    findings = {one["subject"]: one for one in json.loads(done.stdout)["findings"]}
    assert "1 node x 4 A100-80GB, 1 node x 2 A100-80GB" in findings[f"ray {real.address}"]["told"]
    assert (findings["amd"]["state"], AMD in findings["amd"]["told"]) == ("warn", True)
    assert not {"head", "gpu-a", "gpu-b"} & set(findings)


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("wr0ng", "the token in RAY_AUTH_TOKEN is not the cluster's token"),
        ("", "~/.ray/auth_token does not exist"),
    ],
)
def test_a_wrong_token_is_reported_but_not_shown(real: RealRay, token: str, said: str) -> None:
    environment = without_auth(real, RAY_AUTH_TOKEN=token)
    line = one_line_error(run_clusterview("status", "--address", real.address, **environment))
    assert f"the Ray head at {real.address} rejected the connection" in line
    assert said in line
    assert "wr0ng" not in line


def test_a_machine_outside_any_cluster_is_reported_at_once(real: RealRay) -> None:
    """Ray itself would look for a raylet on this machine for a minute."""
    apart = ["unshare", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*apart, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no PID namespaces here, in which this machine's raylets would not be seen")
    command = [*apart, sys.executable, "-m", "tui", "status", "--address", real.address]
    done = subprocess.run(
        command, env=real.user_environment(), capture_output=True, text=True, timeout=30, check=False
    )
    assert "this machine is not a node of the Ray cluster" in one_line_error(done)


def test_a_node_that_does_not_answer_is_listed_as_late(driver: RealRay) -> None:
    """Its raylet cannot start a probe. The others are read, and the command does not wait forever."""
    raylet = driver.raylet_pid("gpu-b")
    kill(raylet, signal.SIGSTOP)
    try:
        with SessionView(open_session(address=driver.address, simulate=None), shows_progress=False) as view:
            view.wait(lambda: view.cluster is not None and gpus_of(view.cluster)["gpu-a"] == 4, START_S)
            cluster = view.settled_cluster(START_S, probes_s=1.0)
    finally:
        kill(raylet, signal.SIGCONT)
    assert gpus_of(cluster) == {"amd": 0, "gpu-a": 4, "gpu-b": 0, "head": 0}
    assert errors_of(cluster)["gpu-b"] == "the probe on this node has not responded yet"


def test_a_node_that_leaves_is_said(driver: RealRay) -> None:
    with SessionView(open_session(address=driver.address, simulate=None), shows_progress=False) as view:
        assert gpus_of(view.settled_cluster(START_S))["gpu-b"] == 2
        kill(driver.raylet_pid("gpu-b"), signal.SIGTERM)
        # The node is silent first, with its last readings, and gone when Ray has noticed.
        assert view.wait(
            lambda: "left the cluster" in errors_of(view.cluster or Cluster(source="ray")).get("gpu-b", ""),
            START_S,
        )
        cluster = view.settled_cluster(START_S)
    dead = next(node for node in cluster.nodes if node.name == "gpu-b")
    assert dead.left is not None and [gpu.usable for gpu in dead.gpus] == [False, False]
    assert errors_of(cluster)["gpu-b"].startswith("the node left the cluster: ")
