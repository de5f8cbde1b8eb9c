"""Cluster snapshot files: written by `clusterview snapshot`, read by `--cluster FILE`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from cluster.cluster_spec import EXAMPLE, looks_like_spec, parse_cluster_spec
from cluster.errors import BadInput
from cluster.frozen import FrozenModel
from cluster.inventory import MOST_GPUS, Cluster, repeated
from cluster.json_file import SNAPSHOT, read_bytes, refuse_many_values, shown
from cluster.text import clean
from cluster.whole_file import write_whole

FORMAT = "clusterview-cluster"
FORMAT_VERSION = 1


def dump_cluster(cluster: Cluster) -> str:
    """Return the text of a snapshot file."""
    body = {"format": FORMAT, "version": FORMAT_VERSION, "cluster": cluster.model_dump(mode="json")}
    return json.dumps(body, indent=1) + "\n"


def save_cluster(cluster: Cluster, path: Path) -> None:
    """Write a snapshot file, completely or not at all; raises as `write_whole` does."""
    write_whole(path, dump_cluster(cluster))


class _Header(BaseModel):
    """What a file says it is, read before its contents."""

    format: Any = None
    version: Any = None


class _File(FrozenModel):
    format: str
    version: int
    cluster: Cluster


def load_cluster(path: Path) -> Cluster:
    """Read a snapshot file. Its source becomes 'file'; BadInput says which field is wrong and why."""
    body = read_bytes(path, SNAPSHOT)
    refuse_many_values(body, shown(path), SNAPSHOT)
    num_gpus = body.count(b'"uuid"')  # each GPU states one; counting them costs nothing
    if num_gpus > MOST_GPUS:
        raise BadInput(f"{shown(path)} has {num_gpus:,} GPUs", f"The limit is {MOST_GPUS:,}")
    _check_header(body, path)
    try:
        cluster = _File.model_validate_json(body).cluster
    except ValidationError as error:
        raise BadInput(f"{shown(path)}: {_first_problem(error)}") from None
    _refuse_shared_gpus(cluster, path)
    return cluster.model_copy(update={"source": "file"})


def _check_header(body: bytes, path: Path) -> None:
    try:
        header = _Header.model_validate_json(body)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        if problem["type"] == "json_invalid":
            raise BadInput(f"{shown(path)} is not JSON: {problem['msg']}") from None
        header = _Header()
    if header.format != FORMAT:
        raise BadInput(
            f"{shown(path)} is not a cluster snapshot", "Create one with: clusterview snapshot -o FILE"
        )
    if type(header.version) is not int or header.version != FORMAT_VERSION:
        raise BadInput(
            f"{shown(path)} has snapshot version {_shown_value(header.version)}",
            f"Expected version {FORMAT_VERSION}. Create a new one with: clusterview snapshot -o FILE",
        )


def _refuse_shared_gpus(cluster: Cluster, path: Path) -> None:
    """Raise BadInput if two nodes have the same GPU. GPUs that were not readable have no UUID."""
    twice = repeated(gpu.uuid for node in cluster.nodes for gpu in node.gpus if gpu.healthy)
    if twice is not None:
        raise BadInput(f"{shown(path)}: two nodes have a GPU with uuid {twice}", "A GPU belongs to one node")


def cluster_from_argument(text: str) -> Cluster:
    """Read the value of `--cluster`: a snapshot file if one exists by that name, else a cluster spec."""
    path = Path(text).expanduser()
    if _is_file(path):
        return load_cluster(path)
    if looks_like_spec(text):
        return parse_cluster_spec(text)
    raise BadInput(
        f"--cluster {text[:80]!r} is neither a file nor a cluster spec",
        f"Give a snapshot file, or a spec like {EXAMPLE}",
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = clean(".".join(str(part) for part in problem["loc"]), 120)
    if problem["type"] == "extra_forbidden":
        return f"{where}: unknown field"
    message = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    if problem["type"] in ("missing", "value_error"):  # their input is the whole object, which may be large
        return f"{where}: {message}"
    value = error.errors(include_url=False, include_context=False)[0]["input"]
    return f"{where}: {message}, not {_shown_value(value)}"


def _shown_value(value: Any) -> str:
    """Return a value from a file that is safe to print: short, and without the digits of a huge integer."""
    if isinstance(value, dict | list):
        return f"a{'n object' if isinstance(value, dict) else ' list'} of {len(value)}"
    if isinstance(value, int) and abs(value) >= 10**20:
        return "a number of more than 20 digits"
    return clean(repr(value), 40)
