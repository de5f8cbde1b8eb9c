"""What a recording holds: everything known of a cluster at one moment, as JSON, taken from events. Pure.

Prompts and answers are left out on purpose: a recording is made to be shown to others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeVar

from cluster.bridge.events import (
    ClusterSeen,
    DeploymentsSeen,
    DetailsSeen,
    Event,
    Progress,
    ReadingsSeen,
    SessionLost,
)
from cluster.deploy.status import DeploymentStatus
from cluster.detail import NodeDetail
from cluster.frozen import FrozenModel
from cluster.inventory import Cluster
from cluster.telemetry import NodeReading

State = dict[str, Any]
"""Section -> its JSON. `readings` and `details` are by node_id; `cluster`, `deployments`, `progress` and
`lost` are None until they were seen."""

ModelT = TypeVar("ModelT", bound=FrozenModel)

EMPTY: State = {
    "cluster": None,
    "readings": {},
    "details": {},
    "deployments": None,
    "progress": None,
    "lost": None,
}


def with_event(state: State, event: Event) -> State:
    """Return the state after an event; the same object where the event is not recorded."""
    if isinstance(event, Progress):
        done = event.fraction is not None and event.fraction >= 1.0
        return {**state, "progress": None if done else _dumped(event)}
    if isinstance(event, SessionLost):
        return {**state, "lost": _dumped(event), "progress": None}
    if isinstance(event, ClusterSeen):
        return _with_cluster(state, event.cluster)
    if isinstance(event, ReadingsSeen):
        return _with_news(state, "readings", {one.node_id: _dumped(one) for one in event.nodes})
    if isinstance(event, DetailsSeen):
        return _with_news(state, "details", {one.node_id: _dumped(one) for one in event.nodes})
    if isinstance(event, DeploymentsSeen):
        return {**_reached(state), "deployments": [_dumped(one) for one in event.deployments]}
    return state


def _with_cluster(state: State, cluster: Cluster) -> State:
    """Take in an inventory; what was read of nodes that are not in it is dropped."""
    known = {node.node_id for node in cluster.nodes}
    kept = {
        section: {node_id: one for node_id, one in state[section].items() if node_id in known}
        for section in ("readings", "details")
    }
    return {**_reached(state), **kept, "cluster": _dumped(cluster), "progress": None}


def _with_news(state: State, section: str, news: dict[str, Any]) -> State:
    return {**_reached(state), section: {**state[section], **news}}


def _reached(state: State) -> State:
    """Return the state without a broken connection: news of the cluster means that it is back."""
    progress = state["progress"]
    broken = progress is not None and progress.get("interrupted")
    return {**state, "lost": None, "progress": None if broken else progress}


def _dumped(model: FrozenModel) -> Any:
    return model.model_dump(mode="json")


class Restorer:
    """Turns states back into events. Keeps what it has validated, so that only news costs time."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[Any, FrozenModel]] = {}

    def events(self, old: State, new: State) -> Iterator[Event]:
        """Yield the events that lead a listener from one state to another.

        Raises ValueError (pydantic's) for a state that is not ours.
        """
        changed = {section for section in EMPTY if new.get(section) is not old.get(section)}
        if "cluster" in changed and new["cluster"] is not None:
            yield ClusterSeen(cluster=self._restored(Cluster, "cluster", "", new["cluster"]))
        if "readings" in changed:
            yield ReadingsSeen(nodes=self.readings(new))
        if "details" in changed:
            yield DetailsSeen(nodes=self.details(new))
        if "deployments" in changed and (new["deployments"] is not None or old["deployments"]):
            yield DeploymentsSeen(deployments=self.deployments(new))
        if "progress" in changed and new["progress"] is not None:
            yield self._restored(Progress, "progress", "", new["progress"])
        if "lost" in changed and new["lost"] is not None:
            yield self._restored(SessionLost, "lost", "", new["lost"])

    def cluster(self, state: State) -> Cluster | None:
        """Return the inventory of a state; None before it was seen."""
        raw = state["cluster"]
        return None if raw is None else self._restored(Cluster, "cluster", "", raw)

    def readings(self, state: State) -> tuple[NodeReading, ...]:
        """Return the readings of a state."""
        return self._all(NodeReading, "readings", state)

    def details(self, state: State) -> tuple[NodeDetail, ...]:
        """Return the slow figures of a state."""
        return self._all(NodeDetail, "details", state)

    def deployments(self, state: State) -> tuple[DeploymentStatus, ...]:
        """Return the deployments of a state."""
        raw = state["deployments"] or []
        return tuple(
            self._restored(DeploymentStatus, "deployments", str(number), one)
            for number, one in enumerate(raw)
        )

    def _all(self, kind: type[ModelT], section: str, state: State) -> tuple[ModelT, ...]:
        return tuple(self._restored(kind, section, key, raw) for key, raw in state[section].items())

    def _restored(self, kind: type[ModelT], section: str, key: str, raw: Any) -> ModelT:
        known = self._known.get((section, key))
        if known is not None and known[0] is raw and isinstance(known[1], kind):
            return known[1]
        # As JSON, which is how these models travel everywhere else.
        model = kind.model_validate_json(json.dumps(raw))
        self._known[(section, key)] = (raw, model)
        return model
