"""What Ray's dashboard answers to GET /nodes?view=summary, as far as it is used here.

Other versions of Ray may leave fields out or add some. What one node reports wrongly concerns only that node.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, Field, ValidationError

from cluster.bridge.observe.usage import taken_gpus
from cluster.errors import Unreachable
from cluster.frozen import FromAnyVersion
from cluster.text import CleanStr

_MOST_NODES = 20_000
_MOST_MB = 2**24
_Megabytes = Annotated[float, Field(ge=0, le=_MOST_MB, allow_inf_nan=False)]
_Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
_Figure = Annotated[float, Field(ge=0, le=1e18, allow_inf_nan=False)]


class SeenProcess(FromAnyVersion):
    """A process on a GPU."""

    pid: Annotated[int, Field(gt=0, lt=2**31)]
    memory_mb: Annotated[_Megabytes | None, Field(validation_alias="gpuMemoryUsage")] = None
    sm_percent: Annotated[_Percent | None, Field(validation_alias="gpuUtilization")] = None


class SeenGpu(FromAnyVersion):
    """A GPU as Ray's reporter read it."""

    index: Annotated[int, Field(ge=0, le=10**6)]
    name: CleanStr = ""
    uuid: CleanStr = ""
    used_percent: Annotated[_Percent | None, Field(validation_alias="utilizationGpu")] = None
    memory_used_mb: Annotated[_Megabytes | None, Field(validation_alias="memoryUsed")] = None
    memory_total_mb: Annotated[_Megabytes | None, Field(validation_alias="memoryTotal")] = None
    power_mw: Annotated[_Figure | None, Field(validation_alias="powerMw")] = None
    temperature_c: Annotated[float | None, Field(validation_alias="temperatureC")] = None
    processes: Annotated[
        tuple[SeenProcess, ...] | None, Field(validation_alias="processesPids", max_length=10_000)
    ] = None


class Raylet(FromAnyVersion):
    """What Ray's head knows of a node."""

    node_id: Annotated[CleanStr, Field(validation_alias="nodeId", min_length=1)]
    state: CleanStr = "ALIVE"
    state_message: Annotated[CleanStr | None, Field(validation_alias="stateMessage")] = None
    name: Annotated[CleanStr, Field(validation_alias=AliasChoices("nodeName", "nodeManagerHostname"))] = ""
    address: Annotated[CleanStr, Field(validation_alias="nodeManagerAddress")] = ""
    workers: Annotated[tuple[Any, ...], Field(validation_alias="coreWorkersStats")] = ()
    """Processes of Ray on the node, with the GPUs that they hold."""
    resources: Annotated[dict[str, float], Field(validation_alias="resourcesTotal")] = {}

    @property
    def num_gpus(self) -> int:
        """GPUs that Ray counts on the node."""
        return min(10_000, max(0, int(self.resources.get("GPU", 0))))


class SeenNode(FromAnyVersion):
    """A node: what Ray's head knows of it, and what its own reporter sent last."""

    raylet: Raylet
    reported_at_s: Annotated[float | None, Field(validation_alias="now")] = None
    """On the node's clock; None: it has reported nothing yet."""
    hostname: CleanStr = ""
    gpus: Annotated[tuple[SeenGpu, ...], Field(max_length=256)] = ()
    cpu_percent: Annotated[_Percent | None, Field(validation_alias="cpu")] = None
    num_cpus: Annotated[tuple[int | None, ...], Field(validation_alias="cpus")] = ()
    """Logical and physical."""
    memory: Annotated[tuple[_Figure | None, ...], Field(validation_alias="mem")] = ()
    """Total bytes, available bytes, percent, used bytes."""
    load: Annotated[tuple[Any, ...], Field(validation_alias="loadAvg")] = ()
    """Load averages of 1, 5 and 15 minutes, then the same per CPU."""
    network_bytes_per_s: Annotated[tuple[_Figure, ...], Field(validation_alias="networkSpeed")] = ()
    """Sent, received."""
    disks: Annotated[dict[str, dict[str, Any]], Field(validation_alias="disk")] = {}
    taken_gpus: float = 0.0
    """GPUs that jobs hold in Ray."""


class BadNode(FromAnyVersion):
    """A node of which something cannot be read."""

    raylet: Raylet
    problem: CleanStr


class _Data(FromAnyVersion):
    summary: Annotated[tuple[dict[str, Any], ...], Field(max_length=_MOST_NODES)]
    usage: Annotated[dict[str, str], Field(validation_alias="nodeLogicalResources")] = {}


class _Answer(FromAnyVersion):
    data: _Data


class _HeadOnly(FromAnyVersion):
    raylet: Raylet


def parse_nodes(body: bytes, url: str) -> tuple[SeenNode | BadNode, ...]:
    """Read the answer; raises Unreachable for one that is not a Ray dashboard's."""
    try:
        data = _Answer.model_validate_json(body).data
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"]) or "the answer"
        hint = "Check the port: Ray's dashboard listens on 8265 unless chosen otherwise"
        raise Unreachable(
            f"the service at {url} is not a Ray dashboard ({where} is not as expected)", hint
        ) from None
    found = (_node(entry, data.usage) for entry in data.summary)
    return tuple(node for node in found if node is not None)


def _node(entry: dict[str, Any], usage: dict[str, str]) -> SeenNode | BadNode | None:
    try:
        node = SeenNode.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        problem = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
        try:
            return BadNode(raylet=_HeadOnly.model_validate(entry).raylet, problem=problem)
        except ValidationError:  # without an id it cannot be shown at all
            return None
    return node.model_copy(update={"taken_gpus": taken_gpus(usage.get(node.raylet.node_id, ""))})
