"""What each node of an order is asked before anything is claimed."""

from __future__ import annotations

from collections import Counter

from cluster.deploy.installed_engines import EngineAsked
from cluster.deploy.node_check import NodeNeeds, NodeQuestion
from cluster.deploy.spec import DeploymentSpec
from cluster.engines.adapter import load_adapter
from cluster.units import MIB

ROUTER_PACKAGES = ("starlette", "uvicorn", "prometheus_client")
PROXY_PACKAGES = ("h11", "aiohttp", "yarl")
"""What the router needs besides to pass requests on to an engine's own servers."""
_TOKENIZER_PACKAGES = ("tokenizers", "jinja2")
SHARED_BYTES_PER_RANK = 128 * MIB
"""Room in /dev/shm, for NCCL and the engines' queues, of each rank that shares a node with others of its
replica: for eight ranks the 1 GiB that NVIDIA advises for containers. Docker's default is 64 MiB."""


def needs_of(spec: DeploymentSpec, router_node: tuple[str, str]) -> tuple[NodeNeeds, ...]:
    """Return what each node of the order needs; `router_node` is (id, name) of the node of the router."""
    names = dict.fromkeys((place.node_id, place.node_name) for place in spec.ranks)
    has_ranks = {node_id for node_id, _ in names}
    if router_node[0] not in has_ranks:
        names[router_node] = None
    ask = _builtin_question if spec.server is None else _server_question
    return tuple(
        NodeNeeds(node_id, name, ask(spec, node_id, node_id == router_node[0]), node_id in has_ranks)
        for node_id, name in names
    )


def _server_question(spec: DeploymentSpec, node_id: str, has_router: bool) -> NodeQuestion:
    """Return what the nodes of an engine's own servers need. The router passes requests on as they are."""
    assert spec.server is not None
    launch, port = spec.server.launch, spec.router_port if has_router else 0
    packages = ("pydantic", *ROUTER_PACKAGES, *PROXY_PACKAGES) if has_router else ("pydantic",)
    if all(place.node_id != node_id for place in spec.ranks):
        return NodeQuestion(packages=packages, host=spec.router_host, port=port)
    is_folder = launch.model.startswith("/")
    asked = EngineAsked(spec.engine.name, load_adapter(spec.engine.name).distributions, spec.server.python)
    return NodeQuestion(
        packages=packages,
        folder=launch.model if is_folder else None,
        hub_id=None if is_folder else launch.model,
        revision=launch.revision,
        checks_weights=launch.load_format != "dummy",
        engine=asked,
        engine_version=spec.engine.version,
        shared_memory_bytes=_shared_bytes(spec, node_id),
        host=spec.router_host,
        port=port,
    )


def _shared_bytes(spec: DeploymentSpec, node_id: str) -> int:
    """Return the room that the replicas' ranks on a node need in /dev/shm; a rank alone shares nothing."""
    ranks = Counter(place.replica for place in spec.ranks if place.node_id == node_id)
    return sum(number for number in ranks.values() if number > 1) * SHARED_BYTES_PER_RANK


def _builtin_question(spec: DeploymentSpec, node_id: str, has_router: bool) -> NodeQuestion:
    has_ranks = any(place.node_id == node_id for place in spec.ranks)
    return NodeQuestion(
        packages=_packages(spec, has_ranks, has_router),
        imports_torch=has_ranks and spec.device == "cuda",
        folder=spec.model.path,
        hub_id=spec.model.hub_id,
        revision=spec.model.revision,
        checks_weights=has_ranks,
        host=spec.router_host,
        port=spec.router_port if has_router else 0,
    )


def _packages(spec: DeploymentSpec, has_ranks: bool, has_router: bool) -> tuple[str, ...]:
    """Return what is imported on a node. Plain `ray`, without [default], comes without pydantic."""
    from_checkpoint = spec.model.weights == "checkpoint"
    packages = ["pydantic"]
    if has_ranks:
        packages += ["torch", "safetensors"] if from_checkpoint else ["torch"]
    if has_router:
        packages += [*ROUTER_PACKAGES, *(_TOKENIZER_PACKAGES if from_checkpoint else ())]
    return tuple(packages)
