"""Clusters on disk: what `clusterview snapshot` writes is what `--cluster FILE` reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cluster.cluster_spec import EXAMPLE, looks_like_spec, parse_cluster_spec
from cluster.errors import BadInput
from cluster.inventory import Cluster
from cluster.whole_file import write_whole

FORMAT = "clusterview-cluster"
FORMAT_VERSION = 1
_MOST_BYTES = 512 * 1024**2


def dump_cluster(cluster: Cluster) -> str:
    """Return the text of a snapshot file."""
    body = {"format": FORMAT, "version": FORMAT_VERSION, "cluster": cluster.model_dump(mode="json")}
    return json.dumps(body, indent=1) + "\n"


def save_cluster(cluster: Cluster, path: Path) -> None:
    """Write a snapshot file, all of it or nothing; raises as `write_whole` does."""
    write_whole(path, dump_cluster(cluster))


def load_cluster(path: Path) -> Cluster:
    """Read a snapshot file. Its source becomes 'file'; BadInput names the field that is wrong."""
    body = _read_json(path)
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise BadInput(f"{path} is not a cluster snapshot", "Make one with: clusterview snapshot -o FILE")
    if body.get("version") != FORMAT_VERSION:
        raise BadInput(
            f"{path} has snapshot version {str(body.get('version'))[:20]}",
            f"This clusterview reads version {FORMAT_VERSION}: make a new one with: clusterview snapshot",
        )
    try:
        cluster = Cluster.model_validate(body.get("cluster"))
    except ValidationError as error:
        raise BadInput(f"{path}: {_first_problem(error)}") from None
    _refuse_repeats(cluster, path)
    return cluster.model_copy(update={"source": "file"})


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


def _read_json(path: Path) -> Any:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise BadInput(f"{path} is too large for a cluster snapshot")
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is not JSON: {error}") from None


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"cluster.{where}: {problem['msg']}{more}" if where else f"cluster: {problem['msg']}{more}"


def _refuse_repeats(cluster: Cluster, path: Path) -> None:
    node_ids = [node.node_id for node in cluster.nodes]
    if len(set(node_ids)) != len(node_ids):
        raise BadInput(f"{path}: two nodes have the same node_id", "Every node needs its own node_id")
    for node in cluster.nodes:
        indices = [gpu.index for gpu in node.gpus]
        if len(set(indices)) != len(indices):
            raise BadInput(f"{path}: two GPUs of {node.name} have the same index", "Every GPU needs its own")
