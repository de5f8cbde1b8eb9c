"""Helpers for tests on real Ray clusters: sessions, orders, and checks for leftovers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster.bridge.state.records import ClusterRecord
from cluster.deploy.engine_in_use import EngineInUse
from cluster.deploy.spec import DeploymentSpec, ModelSource, RankPlace
from cluster.deploy.status import DeploymentStatus
from cluster.inventory import Cluster, Gpu, Node
from cluster.planner.layout import Layout
from cluster.process_table import processes_titled

SPEC = "2x4xA100-80GB"
ENGINE = EngineInUse(name="builtin", version="0.1.0", planned_for="vllm 0.14.0")
PLANNED_BYTES = 60 * 2**30
START_S = 90.0

TINY_LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 8,
    "vocab_size": 320,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "dtype": "float32",
}


def order(
    cluster: Cluster,
    name: str,
    gpus: list[list[tuple[int, int]]],
    *,
    pp: int = 1,
    planned_bytes: int = PLANNED_BYTES,
    **changes: Any,
) -> DeploymentSpec:
    """Return an order: for each replica, (node number, GPU index) of its ranks, stage by stage."""
    replicas = len(gpus)
    tp = len(gpus[0]) // pp
    places = []
    for replica, ranks in enumerate(gpus):
        for number, (node_number, index) in enumerate(ranks):
            node = cluster.nodes[node_number]
            places.append(_place(node, node.gpus[index], replica, number // tp, number % tp, planned_bytes))
    fields: dict[str, Any] = {
        "name": name,
        "model": ModelSource(name="tiny", config=TINY_LLAMA, scale="tiny"),
        "layout": Layout(tp=tp, pp=pp, dp=replicas),
        "engine": ENGINE,
        "ranks": tuple(places),
        "device": "cpu",
        "dtype": "fp32",
        "max_model_len": 128,
        "max_num_seqs": 4,
        "simulated": True,
    }
    return DeploymentSpec(**{**fields, **changes})


def _place(node: Node, gpu: Gpu, replica: int, stage: int, rank: int, planned_bytes: int) -> RankPlace:
    return RankPlace(
        replica=replica,
        stage=stage,
        rank=rank,
        node_id=node.node_id,
        node_name=node.name,
        gpu_index=gpu.index,
        gpu_uuid=gpu.uuid,
        planned_bytes=planned_bytes,
    )


def ranks_in(status: DeploymentStatus | None, state: str) -> int:
    """Count a deployment's ranks in a state."""
    return 0 if status is None else sum(rank.state == state for rank in status.ranks)


_LOOK = """
import json, sys
from cluster.bridge.keeper.embedded import ray_environment
import os
os.environ.update(ray_environment(sys.argv[2], sys.argv[3]))
import ray
ray.init(address=sys.argv[1], namespace="clusterview", log_to_driver=False, logging_level="CRITICAL")
groups = [g["name"] for g in ray.util.placement_group_table().values() if g["state"] != "REMOVED"]
from ray._private.state import available_resources_per_node
free = {node: int(amounts.get("GPU", 0)) for node, amounts in available_resources_per_node().items()}
print(json.dumps({"groups": groups, "actors": ray.util.list_named_actors(), "free_gpus": free}))
"""


def ray_holds(record: ClusterRecord, address: str) -> dict[str, Any]:
    """Ask Ray, in a separate driver, what it holds: placement groups, named actors, free GPUs by node."""
    temp_dir = str(Path(record.socket_path).parent)
    done = subprocess.run(
        [sys.executable, "-c", _LOOK, address, record.auth_token, temp_dir],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def processes_of(temp_dir: str) -> dict[int, str]:
    """Return the running processes of the embedded cluster in this folder: pid -> command line."""
    found = {}
    titled = processes_titled("ray::", temp_dir)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        # Ray's agents overwrite their environment with their process title.
        if temp_dir.encode() in environment or temp_dir in command or int(entry.name) in titled:
            found[int(entry.name)] = command.strip()
    return {pid: command for pid, command in found.items() if command}


def pids_of_actor(temp_dir: str, class_name: str) -> list[int]:
    """Return the processes in which actors of this class run."""
    found = processes_of(temp_dir).items()
    return sorted(pid for pid, command in found if command.startswith(f"ray::{class_name}"))


def wait_until(is_true: Callable[[], bool], timeout_s: float) -> bool:
    """Poll until `is_true`; return False on timeout."""
    until_s = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > until_s:
            return False
        time.sleep(0.1)
    return True
