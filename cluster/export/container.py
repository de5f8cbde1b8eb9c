"""What containers of all orchestrators share: image, probe, folders, and how the server is started in one."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence

from cluster.engines.adapter import load_adapter
from cluster.engines.launch import Member
from cluster.errors import BadInput
from cluster.export.commands import ALL_INTERFACES, HTTP_PORT
from cluster.export.target import ExportTarget, gpu_spec
from cluster.export.yaml_text import Noted

CACHE_FOLDER = "/root/.cache/huggingface"
PROBE_TIMEOUT_S = 30
SHARED_MEMORY = "16Gi"
START_LIMIT_S = 3600
"""Downloading and loading weights takes this long at most; set it higher for a slow network."""
_IMAGE = "vllm/vllm-openai:v{version}"
_MEETING_PORT = 29500


def vllm_image(target: ExportTarget) -> Noted:
    """Return the image of the planned version."""
    # An image's tag has no local part: 0.32.0+cu129 is published as v0.32.0.
    image = _IMAGE.format(version=target.plan.engine_version.partition("+")[0])
    return Noted(image, "placeholder: the published image of this release, or your own")


def refuse_other_vendors(target: ExportTarget, format_name: str) -> None:
    """Raise BadInput where the layout has GPUs that the published CUDA images do not run on."""
    if target.launch.device == "cpu":
        version = f"{target.plan.engine_name} {target.plan.engine_version}"
        raise BadInput(f"{format_name} gives GPUs to its containers, and {version} runs on CPUs")
    specs = ((kind, gpu_spec(kind)) for kind in target.gpu_types)
    other = next((kind for kind, spec in specs if spec is not None and spec.vendor != "nvidia"), None)
    if other is not None:
        raise BadInput(
            f"{format_name} names NVIDIA's images and resources, and the layout runs on {other}",
            "The format vllm has the commands",
        )


def in_container(member: Member, master_address: str = "127.0.0.1") -> Member:
    """Return a member in a container: it sees its own GPUs only, numbered from 0, and has its own network."""
    return member.model_copy(
        update={
            "address": ALL_INTERFACES,
            "http_port": HTTP_PORT,
            "gpu_indices": (),
            "gpu_uuids": (),
            "master_address": master_address,
            "master_port": _MEETING_PORT,
        }
    )


def probe_command(target: ExportTarget) -> list[str]:
    """Return a command that succeeds if the server generates a token: /health answers with dead ranks too."""
    proof = load_adapter(target.plan.engine_name).proof(target.launch.served_name)
    url = f"http://127.0.0.1:{HTTP_PORT}{proof.path}"
    body = json.dumps(dict(proof.body))
    options = ["-sf", "-o", "/dev/null", "--max-time", str(PROBE_TIMEOUT_S)]
    return ["curl", *options, "-H", "Content-Type: application/json", "-d", body, url]


def model_folder(target: ExportTarget) -> str | None:
    """Return the model's folder on the nodes, which containers must be given; None for a hub id."""
    return target.launch.model if target.launch.model.startswith("/") else None


def shell_block(argv: Sequence[str], raw: dict[int, str]) -> str:
    """Return a command for `sh -c`, an option a line; `raw` has the words that the shell is to expand."""
    words = [raw.get(place, shlex.quote(word)) for place, word in enumerate(argv)]
    return "exec " + " \\\n  ".join(" ".join(line) for line in _by_option(words)) + "\n"


def _by_option(words: Sequence[str]) -> Iterator[list[str]]:
    """Yield words in lines that each start with an option."""
    line: list[str] = []
    for word in words:
        if word.startswith("--") and line:
            yield line
            line = []
        line.append(word)
    yield line
