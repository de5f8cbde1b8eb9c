"""NVLinks that go down and come up.

Only a link that was seen up can go down: a card without a bridge has links that never come up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from cluster.detail import GpuDetail
from cluster.incidents.holding import LINKS_DOWN_S, LINKS_UP_S
from cluster.incidents.incident import Incident
from cluster.incidents.places import Place
from cluster.incidents.settling import Change, Settling

Links = frozenset[int]
_NONE: Links = frozenset()


class LinkWatch:
    """Compares each GPU's links with those that were up before."""

    def __init__(self) -> None:
        self._seen_up: dict[str, Links] = {}
        self._down: Settling[str, Links] = Settling(
            lambda old, new: LINKS_DOWN_S if new - old else LINKS_UP_S
        )

    def keep(self, uuids: Collection[str]) -> None:
        """Forget GPUs that are no longer in the cluster."""
        self._down.keep(uuids)
        for uuid in [uuid for uuid in self._seen_up if uuid not in uuids]:
            del self._seen_up[uuid]

    def see(self, detail: GpuDetail, place: Place, now_s: float) -> Iterator[Incident]:
        """Report links that went down or came up."""
        if not detail.links:
            return  # not read this time, or none there
        up = frozenset(link.link for link in detail.links if link.active)
        ever = self._seen_up[detail.uuid] = self._seen_up.get(detail.uuid, _NONE) | up
        change = self._down.see(detail.uuid, ever - up, now_s)
        if change is not None:
            yield self._incident(detail.uuid, change, place)

    def due(self, now_s: float, places: Mapping[str, Place]) -> Iterator[Incident]:
        """Report what settles with time: slow figures come only when they have changed."""
        for uuid, change in self._down.due(now_s):
            if uuid in places:
                yield self._incident(uuid, change, places[uuid])

    def _incident(self, uuid: str, change: Change[Links], place: Place) -> Incident:
        count = len(self._seen_up[uuid])
        if change.new - change.old:
            evidence = f"{len(change.new)} of {count}: {_numbers(change.new)}"
            return place.incident(change.since_s, "nvlink", "bad", f"{_links_of(place)} are down", evidence)
        still = f"; {_numbers(change.new)} of {count} still down" if change.new else f"; all {count} are up"
        evidence = _numbers(change.old - change.new) + still
        return place.incident(change.since_s, "nvlink", "good", f"{_links_of(place)} are up again", evidence)


def _links_of(place: Place) -> str:
    return "xGMI links" if place.gpu is not None and place.gpu.vendor == "amd" else "NVLinks"


def _numbers(links: Links) -> str:
    return ", ".join(str(link) for link in sorted(links))
