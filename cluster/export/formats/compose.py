"""A Compose file for one node: one service per replica, each with its own GPUs."""

from __future__ import annotations

from typing import Any

from cluster.errors import BadInput
from cluster.export.commands import HTTP_PORT, server_command
from cluster.export.container import (
    CACHE_FOLDER,
    PROBE_TIMEOUT_S,
    START_LIMIT_S,
    in_container,
    model_folder,
    probe_command,
    refuse_other_vendors,
    vllm_image,
)
from cluster.export.format import ExportFormat
from cluster.export.remarks import heading
from cluster.export.target import ExportTarget, Replica
from cluster.export.yaml_text import Noted, to_yaml
from cluster.units import count_of

Json = dict[str, Any]

_ENTRYPOINT_WORDS = 2  # vllm serve


def render(target: ExportTarget) -> str:
    """Return the Compose file; BadInput for a layout on several nodes."""
    refuse_other_vendors(target, "compose")
    nodes = list(dict.fromkeys(node.name for replica in target.replicas for node in replica.nodes))
    if len(nodes) > 1:
        raise BadInput(
            f"Compose runs on one node, and {target.candidate.label} uses {count_of(len(nodes), 'node')}",
            "The formats vllm, lws and kuberay take several nodes",
        )
    services = {_name(target, replica): _service(target, replica) for replica in target.replicas}
    remarks = [*heading(target), f"for {nodes[0]}: docker compose -f FILE up"]
    if len(services) > 1:
        remarks.append("each replica has a port of its own: put a load balancer in front")
    return to_yaml([{"name": target.name, "services": services}], remarks)


def _name(target: ExportTarget, replica: Replica) -> str:
    return target.name if len(target.replicas) == 1 else f"{target.name}-{replica.number}"


def _service(target: ExportTarget, replica: Replica) -> Json:
    command = server_command(target, in_container(replica.members[0]))
    port = HTTP_PORT + replica.number
    note = "this machine only; omit 127.0.0.1 to serve others, and set VLLM_API_KEY"
    return {
        "image": vllm_image(target),
        "entrypoint": [_literal(word) for word in command.argv[:_ENTRYPOINT_WORDS]],
        "command": [_literal(word) for word in command.argv[_ENTRYPOINT_WORDS:]],
        # Without a value it is taken from the shell that runs Compose, if it is set there.
        "environment": {**{name: _literal(value) for name, value in command.env.items()}, "HF_TOKEN": None},
        "ports": [Noted(f"127.0.0.1:{port}:{HTTP_PORT}", note)],
        "volumes": _volumes(target),
        "shm_size": Noted("16gb", "placeholder"),
        "deploy": {"resources": {"reservations": {"devices": [_devices(replica)]}}},
        "healthcheck": _health(target),
        "restart": "unless-stopped",
    }


def _devices(replica: Replica) -> Json:
    ids = [str(index) for index in replica.members[0].gpu_indices]
    return {"driver": "nvidia", "device_ids": ids, "capabilities": ["gpu"]}


def _volumes(target: ExportTarget) -> list[Json]:
    cache = Noted("~/.cache/huggingface", "placeholder: where downloaded models are kept")
    made = {"create_host_path": True}
    found: list[Json] = [{"type": "bind", "source": cache, "target": CACHE_FOLDER, "bind": made}]
    folder = model_folder(target)
    if folder is not None:
        path = _literal(folder)
        found.append({"type": "bind", "source": path, "target": path, "read_only": True})
    return found


def _health(target: ExportTarget) -> Json:
    return {
        "test": ["CMD", *(_literal(word) for word in probe_command(target))],
        "interval": "15s",
        "timeout": f"{PROBE_TIMEOUT_S}s",
        "retries": 4,
        "start_period": f"{START_LIMIT_S}s",
    }


def _literal(text: str) -> str:
    """Return text that Compose does not expand: it replaces $NAME and ${NAME} everywhere."""
    return text.replace("$", "$$")


FORMAT = ExportFormat(
    name="compose",
    summary="a Compose file for one node running vLLM",
    engine="vllm",
    extension="yaml",
    render=render,
)
