"""Describe a cluster in one line of text: '2x4xA100-80GB,1x8xL4' means 2 nodes of 4 GPUs and 1 node of 8."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cluster.catalog.gpu_spec import GpuSpec
from cluster.catalog.gpus import find_gpu
from cluster.errors import BadInput, UnknownName
from cluster.inventory import MOST_GPUS, MOST_GPUS_IN_A_NODE, Cluster, ClusterSource, Gpu, Node

EXAMPLE = "2x4xA100-80GB"

# No single machine joins more GPUs over NVLink than this; a larger NVLink domain is a rack of nodes.
_MOST_NVLINK_GPUS_IN_A_MACHINE = 16

_PART = re.compile(r"\s*(?P<a>\d+)\s*[xX×*]\s*(?:(?P<b>\d+)\s*[xX×*]\s*)?(?P<type>[^\d\s].*)")


@dataclass(frozen=True, slots=True)
class _Part:
    num_nodes: int
    gpus_per_node: int
    spec: GpuSpec


def parse_cluster_spec(text: str, source: ClusterSource = "spec") -> Cluster:
    """Read '[NODESx]GPUSxTYPE,...' as an idle cluster of nodes 'node-1', 'node-2' ...

    Raises BadInput that names the position (1 is the first character) and what was expected there.
    """
    parts, position = [], 0
    for piece in text.split(","):
        parts.append(_parse_part(piece, text, position))
        position += len(piece) + 1
    num_gpus = sum(part.num_nodes * part.gpus_per_node for part in parts)
    if num_gpus > MOST_GPUS:
        raise BadInput(f"cluster spec {text!r} has {num_gpus:,} GPUs", f"The limit is {MOST_GPUS:,}")
    return Cluster(source=source, nodes=_build_nodes(parts), simulated=source == "simulated")


def looks_like_spec(text: str) -> bool:
    """Whether text starts like a cluster spec, so that an error message should be about one."""
    begun = re.match(r"\s*\d+\s*[xX×*]", text) is not None
    # A number first, and nothing that names of files have: '8yH100', '8 H100' or '8' is a spec gone wrong.
    return begun or re.fullmatch(r"\s*\d[^./\\]*", text) is not None


def _parse_part(piece: str, text: str, offset: int) -> _Part:
    match = _PART.fullmatch(piece)
    if match is None:
        raise _not_a_part(piece, text, offset)
    counts = [_count(match, group, text, offset) for group in ("a", "b") if match[group] is not None]
    if counts[-1] > MOST_GPUS_IN_A_NODE:
        where = _where(text, offset + match.start("a" if len(counts) == 1 else "b"))
        raise BadInput(
            f"{counts[-1]:,} GPUs per node is too many{where}",
            f"A node has at most {MOST_GPUS_IN_A_NODE}; write several nodes like {EXAMPLE}",
        )
    try:
        spec = find_gpu(match["type"].rstrip())
    except UnknownName as unknown:
        raise UnknownName(
            f"{unknown.message}{_where(text, offset + match.start('type'))}", unknown.hint
        ) from None
    return _Part(num_nodes=1 if len(counts) == 1 else counts[0], gpus_per_node=counts[-1], spec=spec)


def _count(match: re.Match[str], group: str, text: str, offset: int) -> int:
    digits = match[group]
    # int() of a very long run of digits is itself an error, and slow.
    count = int(digits) if len(digits) <= 9 else MOST_GPUS + 1
    if 1 <= count <= MOST_GPUS:
        return count
    where = _where(text, offset + match.start(group))
    raise BadInput(f"the count {digits[:12]} is out of range{where}", f"Use 1 to {MOST_GPUS:,}")


def _not_a_part(piece: str, text: str, offset: int) -> BadInput:
    """Return an error that says what was expected where the piece stops looking like [NODESx]GPUSxTYPE."""
    counts = re.match(r"\s*(\d+\s*[xX×*]\s*){0,2}", piece)
    at = counts.end() if counts else 0
    digits = re.match(r"\d+\s*", piece[at:])
    if not piece.strip():
        expected = "a group of GPUs"
    elif digits:
        at, expected = at + digits.end(), "'x' and a GPU type"
    elif re.search(r"[xX×*]", piece[:at]):
        expected = "a GPU type"
    else:
        expected = "a number of GPUs"
    where = _where(text, offset + at)
    return BadInput(f"cluster spec: expected {expected}{where}", f"Write it like {EXAMPLE}")


def _where(text: str, index: int) -> str:
    shown = text if len(text) <= 60 else f"{text[:59]}…"
    return f" at position {index + 1} of {shown!r}"


def _build_nodes(parts: list[_Part]) -> tuple[Node, ...]:
    nodes: list[Node] = []
    for part_number, part in enumerate(parts, start=1):
        for within in range(part.num_nodes):
            nodes.append(_build_node(len(nodes) + 1, part, part_number, within))
    return tuple(nodes)


def _build_node(number: int, part: _Part, part_number: int, within: int) -> Node:
    name = f"node-{number}"
    gpus = tuple(_build_gpu(name, index, part) for index in range(part.gpus_per_node))
    return Node(node_id=name, name=name, gpus=gpus, nvlink_domain=_nvlink_domain(part, part_number, within))


def _build_gpu(node: str, index: int, part: _Part) -> Gpu:
    spec = part.spec
    # Everything here is our own and of the right type; checking 10,000 GPUs again would cost a second.
    return Gpu.model_construct(
        index=index,
        uuid=f"GPU-{node}-{index}",
        type=spec.type,
        memory_total_bytes=spec.memory_bytes,
        memory_free_bytes=spec.memory_bytes,
        compute_capability=spec.compute_capability,
        nvlink_island=assumed_island(spec, index, part.gpus_per_node),
    )


def assumed_island(spec: GpuSpec, index: int, gpus_per_node: int) -> str | None:
    """Return the NVLink island of a node's GPU, as machines with this type are built; None: PCIe only."""
    # Bridges between pairs of cards are bought apart: a spec does not say that they are there.
    if spec.nvlink_topology not in ("nvswitch", "mesh") or spec.nvlink_domain_gpus < 2:
        return None
    first = index - index % spec.nvlink_domain_gpus
    size = min(spec.nvlink_domain_gpus, gpus_per_node - first)
    return f"nvlink-{first // spec.nvlink_domain_gpus}" if size > 1 else None


def _nvlink_domain(part: _Part, part_number: int, within: int) -> str | None:
    if part.spec.nvlink_domain_gpus <= _MOST_NVLINK_GPUS_IN_A_MACHINE or part.num_nodes == 1:
        return None
    nodes_per_domain = max(1, part.spec.nvlink_domain_gpus // part.gpus_per_node)
    return f"rack-{part_number}-{within // nodes_per_domain + 1}"
