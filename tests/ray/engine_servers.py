"""Orders for the fake engine on real Ray nodes, and what became of its processes."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from cluster.cli.session_view import SessionView
from cluster.deploy.engine_in_use import EngineInUse
from cluster.deploy.spec import DeploymentSpec, ServerPlan
from cluster.deploy.status import DeploymentStatus, ReplicaStatus
from cluster.engines.launch import ServerLaunch
from cluster.inventory import Cluster
from tests.fake_engine.python import EngineProcess, engine_processes
from tests.ray.support import START_S, TINY_LLAMA, order, wait_until

ENGINE = EngineInUse(name="vllm", version="0.32.0", planned_for="vllm 0.32.0")


def server_order(
    cluster: Cluster, name: str, python: Path, gpus: list[list[tuple[str, int]]], **changes: Any
) -> DeploymentSpec:
    """Return an order for vLLM servers: for each replica, (node name, GPU index) of its ranks (all TP)."""
    folder = python.parents[1] / "model"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(TINY_LLAMA))
    (folder / "tokenizer.json").write_text("{}")
    numbers = {node.name: number for number, node in enumerate(cluster.nodes)}
    launch = ServerLaunch(
        model=str(folder),
        served_name="tiny",
        load_format="dummy",
        tp=len(gpus[0]),
        max_model_len=128,
        max_num_seqs=4,
        gpu_memory_utilization=0.5,
    )
    fields: dict[str, Any] = {
        "engine": ENGINE,
        "server": ServerPlan(launch=launch, python=str(python)),
        "simulated": False,
        "device": "cuda",
    }
    places = [[(numbers[node], index) for node, index in replica] for replica in gpus]
    return order(cluster, name, places, **{**fields, **changes})


def started(view: SessionView, spec: DeploymentSpec) -> DeploymentStatus:
    """Order a deployment and wait until it is ready."""
    view.session.deploy(spec).result(START_S)
    return awaited(view, spec.name, "ready")


def awaited(view: SessionView, name: str, state: str, timeout_s: float = START_S) -> DeploymentStatus:
    """Wait until a deployment is in a state."""
    found = view.wait(lambda: (status := view.find(name)) is not None and status.state == state, timeout_s)
    status = view.find(name)
    assert found and status is not None, status
    return status


def restarted(view: SessionView, name: str, replica: int, before: int) -> ReplicaStatus:
    """Wait until a replica is ready again, after more restarts than `before`."""

    def is_back() -> bool:
        status = view.find(name)
        row = status.replicas[replica] if status is not None and status.replicas else None
        return row is not None and row.ready and row.restarts > before

    assert view.wait(is_back, START_S), view.find(name)
    status = view.find(name)
    assert status is not None
    return status.replicas[replica]


def stopped(view: SessionView, name: str, python: Path) -> None:
    """Stop a deployment; nothing of the engine may be left."""
    view.session.stop(name).result(START_S)
    assert wait_until(lambda: not engine_processes(python), 5), engine_processes(python)


def of_gpu(python: Path, role: str, index: str) -> list[EngineProcess]:
    """Return the living processes whose server was given these GPUs."""
    return [one for one in engine_processes(python, role) if argument(one, "--device-ids") == index]


def argument(process: EngineProcess, option: str) -> str:
    """Return the value of an option on a server's command line."""
    return process.argv[process.argv.index(option) + 1]


def kill(pids: list[int], number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to processes."""
    for pid in pids:
        os.kill(pid, number)


def all_gone(processes: list[EngineProcess], python: Path) -> bool:
    """Whether none of these processes lives any more."""
    return not {one.pid for one in processes} & {one.pid for one in engine_processes(python)}
