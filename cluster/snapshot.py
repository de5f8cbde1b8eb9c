"""Clusters on disk: what `clusterview snapshot` writes is what `--cluster FILE` reads."""

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
    """Write a snapshot file, all of it or nothing; raises as `write_whole` does."""
    write_whole(path, dump_cluster(cluster))


class _Header(BaseModel):
    """What a file says it is, read before what it holds."""

    format: Any = None
    version: Any = None


class _File(FrozenModel):
    format: str
    version: int
    cluster: Cluster


def load_cluster(path: Path) -> Cluster:
    """Read a snapshot file. Its source becomes 'file'; BadInput names the field that is wrong and why."""
    body = read_bytes(path, SNAPSHOT)
    refuse_many_values(body, shown(path), SNAPSHOT)
    num_gpus = body.count(b'"uuid"')  # each GPU states one; counting them costs nothing
    if num_gpus > MOST_GPUS:
        raise BadInput(f"{shown(path)} holds {num_gpus:,} GPUs", f"At most {MOST_GPUS:,} are planned for")
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
            f"{shown(path)} is not a cluster snapshot", "Make one with: clusterview snapshot -o FILE"
        )
    if type(header.version) is not int or header.version != FORMAT_VERSION:
        raise BadInput(
            f"{shown(path)} has snapshot version {_shown_value(header.version)}",
            f"This clusterview reads version {FORMAT_VERSION}: make a new one with: clusterview snapshot",
        )


def _refuse_shared_gpus(cluster: Cluster, path: Path) -> None:
    """One GPU is in one node. GPUs that could not be read have no UUID of their own, and are left out."""
    twice = repeated(gpu.uuid for node in cluster.nodes for gpu in node.gpus if gpu.healthy)
    if twice is not None:
        raise BadInput(f"{shown(path)}: two nodes hold the GPU with the uuid {twice}", "A GPU is in one node")


def cluster_from_argument(text: str) -> Cluster:
    """Read what `--cluster` was given: a snapshot file where one exists, else a cluster spec."""
    path = Path(text).expanduser()
    if _is_file(path):
        return load_cluster(path)
    if looks_like_spec(text):
        return parse_cluster_spec(text)
    raise BadInput(
        f"--cluster {text[:80]!r} is neither a file nor a cluster spec",
        f"Name a snapshot file, or write a spec like {EXAMPLE}",
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
        return f"{where}: this field is not known"
    message = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    if problem["type"] in ("missing", "value_error"):  # their input is everything around, which may be large
        return f"{where}: {message}"
    value = error.errors(include_url=False, include_context=False)[0]["input"]
    return f"{where}: {message}, not {_shown_value(value)}"


def _shown_value(value: Any) -> str:
    """Return a value from a file as it may be printed: short, and no huge integer as digits."""
    if isinstance(value, dict | list):
        return f"a{'n object' if isinstance(value, dict) else ' list'} of {len(value)}"
    if isinstance(value, int) and abs(value) >= 10**20:
        return "a number of more than 20 digits"
    return clean(repr(value), 40)
