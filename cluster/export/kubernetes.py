"""Parts of pods that the Kubernetes formats share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cluster.export.container import CACHE_FOLDER, SHARED_MEMORY, model_folder
from cluster.export.target import ExportTarget, gpu_spec
from cluster.export.yaml_text import Noted

Json = dict[str, Any]

GPU_RESOURCE = "nvidia.com/gpu"
_PRODUCT_LABEL = "nvidia.com/gpu.product"
_TOKEN_SECRET = "hf-token"


def literal(text: str) -> str:
    """Return text that Kubernetes does not expand: it replaces $(NAME) and $$ in commands and variables."""
    return re.sub(r"\$(?=[$(])", "$$", text)


def env_list(env: Mapping[str, str]) -> list[Json]:
    """Return a container's variables, with the hub's token from a secret if there is one."""
    key = {"name": Noted(_TOKEN_SECRET, "your secret, for models that need a token"), "key": "token"}
    token: Json = {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {**key, "optional": True}}}
    return [*({"name": name, "value": literal(value)} for name, value in env.items()), token]


def volume_mounts(target: ExportTarget) -> list[Json]:
    """Return where a container has shared memory, the hub's cache and the model's folder."""
    mounts: list[Json] = [
        {"name": "shm", "mountPath": "/dev/shm"},
        {"name": "hub-cache", "mountPath": CACHE_FOLDER},
    ]
    folder = model_folder(target)
    if folder is not None:
        mounts.append({"name": "model", "mountPath": folder, "readOnly": True})
    return mounts


def volumes(target: ExportTarget) -> list[Json]:
    """Return the volumes of those mounts."""
    size = Noted(SHARED_MEMORY, "placeholder: counts as the pod's memory")
    found: list[Json] = [
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": size}},
        {"name": "hub-cache", "emptyDir": {}},
    ]
    folder = model_folder(target)
    if folder is not None:
        path = Noted(folder, "must be on every node; or use a persistentVolumeClaim")
        found.append({"name": "model", "hostPath": {"path": path, "type": "Directory"}})
    return found


def placement(target: ExportTarget, gpu_types: tuple[str, ...]) -> Json:
    """Return what keeps pods on the planned type of GPU; a selector only where the cluster has others."""
    tolerations: list[Json] = [{"key": GPU_RESOURCE, "operator": "Exists", "effect": "NoSchedule"}]
    others = {gpu.type for node in target.plan.cluster.nodes for gpu in node.gpus} - set(gpu_types)
    spec = gpu_spec(gpu_types[0]) if len(gpu_types) == 1 and others else None
    if spec is None:
        return {"tolerations": tolerations}
    product = Noted(
        spec.product_names[0].replace(" ", "-"), "placeholder: as in kubectl get nodes -L " + _PRODUCT_LABEL
    )
    return {"nodeSelector": {_PRODUCT_LABEL: product}, "tolerations": tolerations}
