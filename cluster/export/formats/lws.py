"""A LeaderWorkerSet: one group of pods per replica, vLLM's own multi-node mode inside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cluster.engines.launch import Member
from cluster.export.commands import HTTP_PORT, server_command
from cluster.export.container import (
    PROBE_TIMEOUT_S,
    in_container,
    probe_command,
    refuse_other_vendors,
    shell_block,
    vllm_image,
)
from cluster.export.format import ExportFormat
from cluster.export.kubernetes import GPU_RESOURCE, env_list, literal, placement, volume_mounts, volumes
from cluster.export.remarks import heading
from cluster.export.target import ExportTarget, Replica
from cluster.export.yaml_text import to_yaml

Json = dict[str, Any]

_NAME_LABEL = "app.kubernetes.io/name"
_ROLE_LABEL = "app.kubernetes.io/component"
_LEADER = '"$LWS_LEADER_ADDRESS"'
_REMARKS = (
    "apply it with: kubectl apply -f FILE (the LeaderWorkerSet controller must be installed)",
    "Kubernetes chooses the nodes and GPUs; the GPUs of the plan cannot be named here",
    "a pod is ready once it generates a token; workers have no server, so they have no probe",
)
_ACROSS_NODES = (
    "between nodes NCCL uses the pods' network: add hostNetwork or RDMA devices where you have them"
)


def render(target: ExportTarget) -> str:
    """Return a LeaderWorkerSet for each shape of replica, and a Service over all leaders."""
    refuse_other_vendors(target, "lws")
    shapes = target.by_shape
    names = [target.name] if len(shapes) == 1 else [f"{target.name}-{n}" for n in range(len(shapes))]
    sets = [_leader_worker_set(target, name, alike) for name, alike in zip(names, shapes, strict=True)]
    remarks = [*heading(target), *_REMARKS]
    if any(len(replica.members) > 1 for replica in target.replicas):
        remarks.append(_ACROSS_NODES)
    return to_yaml([*sets, _service(target)], remarks)


def _leader_worker_set(target: ExportTarget, name: str, alike: Sequence[Replica]) -> Json:
    replica = alike[0]
    group: Json = {"size": len(replica.members), "restartPolicy": "RecreateGroupOnPodRestart"}
    leader = _template(target, replica, replica.members[0])
    if len(replica.members) > 1:
        group |= {"leaderTemplate": leader, "workerTemplate": _template(target, replica, replica.members[1])}
    else:
        group["workerTemplate"] = leader
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": name, "labels": {_NAME_LABEL: target.name}},
        "spec": {"replicas": len(alike), "startupPolicy": "LeaderCreated", "leaderWorkerTemplate": group},
    }


def _template(target: ExportTarget, replica: Replica, member: Member) -> Json:
    labels = {_NAME_LABEL: target.name, _ROLE_LABEL: "leader" if member.is_leader else "worker"}
    return {
        "metadata": {"labels": labels},
        "spec": {
            "containers": [_container(target, member)],
            **placement(target, replica.gpu_types),
            "volumes": volumes(target),
        },
    }


def _container(target: ExportTarget, member: Member) -> Json:
    command = server_command(target, in_container(member, "leader"))
    text = literal(shell_block(command.argv, _expanded(command.argv, target, member)))
    container: Json = {
        "name": "vllm",
        "image": vllm_image(target),
        "command": ["/bin/sh", "-c", text],
        "env": env_list(command.env),
        "resources": {"limits": {GPU_RESOURCE: len(member.gpu_indices)}},
        "volumeMounts": volume_mounts(target),
    }
    if member.is_leader:
        container["ports"] = [{"name": "http", "containerPort": HTTP_PORT}]
        container["readinessProbe"] = _probe(target)
    return container


def _expanded(argv: Sequence[str], target: ExportTarget, member: Member) -> dict[int, str]:
    """Return the words that differ between the pods of a group, for the shell to fill in."""
    ranks_on_node = target.launch.attention_dp // member.num_members
    words = {
        "--master-addr": _LEADER,
        "--data-parallel-address": _LEADER,
        "--node-rank": '"$LWS_WORKER_INDEX"',
        "--data-parallel-start-rank": f'"$((LWS_WORKER_INDEX * {ranks_on_node}))"',
    }
    return {place + 1: words[option] for place, option in enumerate(argv) if option in words}


def _probe(target: ExportTarget) -> Json:
    return {
        "exec": {"command": probe_command(target)},
        "periodSeconds": 15,
        "timeoutSeconds": PROBE_TIMEOUT_S,
        "failureThreshold": 4,
    }


def _service(target: ExportTarget) -> Json:
    # The controller makes a headless service of the set's own name.
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"{target.name}-http"},
        "spec": {
            "selector": {_NAME_LABEL: target.name, _ROLE_LABEL: "leader"},
            "ports": [{"name": "http", "port": HTTP_PORT, "targetPort": "http"}],
        },
    }


FORMAT = ExportFormat(
    name="lws",
    summary="a Kubernetes LeaderWorkerSet running vLLM",
    engine="vllm",
    extension="yaml",
    render=render,
)
