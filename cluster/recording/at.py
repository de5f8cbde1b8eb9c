"""A recording at one moment: what was known of the cluster then."""

from __future__ import annotations

from cluster.errors import BadInput
from cluster.inventory import Cluster, Gpu
from cluster.json_file import shown
from cluster.metrics.live_state import GpuNow, LiveState, NodeNow
from cluster.recording.cursor import Cursor
from cluster.recording.moment import shown_moment
from cluster.recording.recording import Recording
from cluster.recording.state import Restorer
from cluster.text import clean


def live_state_at(recording: Recording, at_s: float) -> LiveState:
    """Return what was known at a Unix time; BadInput where the recording is damaged there."""
    cursor, restorer = Cursor(recording), Restorer()
    cursor.seek(at_s)
    for first_at_s, last_at_s, why in cursor.damage:
        if first_at_s <= at_s or not cursor.state["cluster"]:
            span = f"{shown_moment(first_at_s)} to {shown_moment(last_at_s, date=False)}"
            raise BadInput(
                f"{shown(recording.path)} is damaged, {span} cannot be read: {why}", "Give another --at"
            )
    try:
        cluster = restorer.cluster(cursor.state)
        readings, details = restorer.readings(cursor.state), restorer.details(cursor.state)
        deployments = restorer.deployments(cursor.state)
    except (ValueError, RecursionError) as error:
        gist = clean(" ".join(str(error).split()[:24]), 160)
        made_by = recording.header.clusterview or "an unknown version"
        raise BadInput(
            f"{shown(recording.path)} (made by clusterview {made_by}) cannot be read: {gist}"
        ) from None
    if cluster is None:
        raise BadInput(f"{shown(recording.path)} holds no cluster at {shown_moment(at_s)}")
    return LiveState(
        cluster=cluster,
        now_s=at_s,
        title=f"replay {clean(recording.path.name, 60)}: {recording.header.title}",
        readings={one.node_id: one for one in readings},
        details={one.node_id: one for one in details},
        deployments=deployments,
    )


def cluster_for_planning(live: LiveState) -> Cluster:
    """Return the inventory with what was last read of each GPU; its source becomes 'file'."""
    nodes = tuple(
        now.node.model_copy(update={"gpus": tuple(_current(gpu, now) for gpu in now.gpus)})
        for now in live.nodes()
    )
    return live.cluster.model_copy(update={"source": "file", "nodes": nodes, "taken_at_s": live.now_s})


def _current(now: GpuNow, node: NodeNow) -> Gpu:
    gpu, reading = now.gpu, now.reading
    if node.state in ("hung", "lost", "left"):
        reason = f"{node.node.name} was {node.state}" + (f": {node.reason}" if node.reason else "")
        return gpu.model_copy(update={"unhealthy_reason": gpu.unhealthy_reason or reason})
    if reading is None:
        return gpu
    changes: dict[str, object] = {"processes": reading.processes}
    if reading.memory_free_bytes is not None and reading.memory_total_bytes is not None:
        changes["memory_free_bytes"] = reading.memory_free_bytes
        changes["memory_total_bytes"] = reading.memory_total_bytes
    if reading.error:
        changes["unhealthy_reason"] = reading.error
    return gpu.model_copy(update=changes)
