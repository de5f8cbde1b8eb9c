"""A KubeRay RayService: a Ray cluster of the planned size that runs Ray Serve LLM."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from cluster.export.container import refuse_other_vendors
from cluster.export.format import ExportFormat
from cluster.export.kubernetes import GPU_RESOURCE, env_list, placement, volume_mounts, volumes
from cluster.export.ray_llm import RAY_VERSION, VLLM_VERSION, serve_config, serve_remarks
from cluster.export.remarks import heading
from cluster.export.target import ExportTarget
from cluster.export.yaml_text import Noted, to_yaml

Json = dict[str, Any]

_IMAGE = f"rayproject/ray-llm:{RAY_VERSION}-py311-cu128"
_CPUS_PER_GPU = 4
_GIB_PER_GPU = 64
_SPARE_CPUS = 4
"""Of each node, for the HTTP proxy and the application's ingress."""
_HEAD_PORTS = {"gcs": 6379, "dashboard": 8265, "client": 10001, "serve": 8000}


def render(target: ExportTarget) -> str:
    """Return the RayService, with as many worker pods as the plan uses nodes."""
    refuse_other_vendors(target, "kuberay")
    service = {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": target.name},
        "spec": {
            "serveConfigV2": to_yaml([serve_config(target)]),
            "rayClusterConfig": {
                "rayVersion": RAY_VERSION,
                "headGroupSpec": _head(target),
                "workerGroupSpecs": list(_worker_groups(target)),
            },
        },
    }
    start = "apply it with: kubectl apply -f FILE (the KubeRay operator must be installed)"
    return to_yaml([service], [*heading(target), *serve_remarks(target), start])


def _head(target: ExportTarget) -> Json:
    ports = [{"name": name, "containerPort": port} for name, port in _HEAD_PORTS.items()]
    container: Json = {
        "name": "ray-head",
        "image": _image(),
        "ports": ports,
        "env": env_list({}),
        "resources": {"limits": {"cpu": Noted(4, "placeholder"), "memory": Noted("16Gi", "placeholder")}},
    }
    # Without CPUs of its own the head runs no part of the application.
    params = {"dashboard-host": "0.0.0.0", "num-cpus": "0", "num-gpus": "0"}
    return {"rayStartParams": params, "template": {"spec": {"containers": [container]}}}


def _worker_groups(target: ExportTarget) -> Iterator[Json]:
    """Yield a group of pods for each size of node: as many GPUs as the plan uses there."""
    used: Counter[tuple[str, str]] = Counter()
    for replica in target.replicas:
        for node, member in zip(replica.nodes, replica.members, strict=True):
            kinds = {gpu.type for gpu in node.gpus if gpu.index in member.gpu_indices}
            used[node.node_id, min(kinds)] += len(member.gpu_indices)
    sizes = Counter((gpu_type, gpus) for (_, gpu_type), gpus in used.items())
    for number, ((gpu_type, gpus), pods) in enumerate(sorted(sizes.items())):
        yield _worker_group(target, f"workers-{number}", gpu_type, gpus, pods)


def _worker_group(target: ExportTarget, name: str, gpu_type: str, gpus: int, pods: int) -> Json:
    limits = {
        "cpu": Noted(_CPUS_PER_GPU * gpus + _SPARE_CPUS, "placeholder"),
        "memory": Noted(f"{_GIB_PER_GPU * gpus}Gi", "placeholder"),
        GPU_RESOURCE: gpus,
    }
    container: Json = {
        "name": "ray-worker",
        "image": _image(),
        "env": env_list({}),
        "resources": {"limits": limits},
        "volumeMounts": volume_mounts(target),
    }
    spec = {"containers": [container], **placement(target, (gpu_type,)), "volumes": volumes(target)}
    return {
        "groupName": name,
        "replicas": pods,
        "minReplicas": pods,
        "maxReplicas": pods,
        "rayStartParams": {"num-gpus": str(gpus)},
        "template": {"spec": spec},
    }


def _image() -> Noted:
    return Noted(_IMAGE, "placeholder: Ray and vLLM of these versions, for your CUDA")


FORMAT = ExportFormat(
    name="kuberay",
    summary="a KubeRay RayService running Ray Serve LLM",
    engine="vllm",
    engine_version=VLLM_VERSION,
    extension="yaml",
    render=render,
)
