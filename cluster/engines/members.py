"""The nodes of one replica, as an engine that runs as a process sees them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from cluster.engines.launch import Member, ServerLaunch
from cluster.errors import BadInput
from cluster.planner.layout import Placement


def members_of(places: Sequence[Placement], launch: ServerLaunch) -> tuple[Member, ...]:
    """Group the ranks of one replica by node, in rank order; member 0 has rank 0.

    Rank order is that of the engines: attention rank, stage, tensor-parallel rank.
    Addresses and ports are left at their defaults: whoever knows the nodes fills them in with `model_copy`.
    Raises BadInput for a division over nodes that engines cannot be told.
    """
    ordered = sorted(places, key=lambda place: (place.rank // launch.tp, place.stage, place.rank))
    runs = [(node, list(ranks)) for node, ranks in groupby(ordered, key=lambda place: place.node)]
    _check_nodes(runs)
    if launch.attention_dp > 1:
        _check_attention_ranks(runs, launch)
    return tuple(
        Member(
            number=number,
            num_members=len(runs),
            gpu_indices=tuple(place.gpu_index for place in ranks),
            gpu_uuids=tuple(place.gpu_uuid for place in ranks),
        )
        for number, (_, ranks) in enumerate(runs)
    )


def _check_nodes(runs: Sequence[tuple[str, list[Placement]]]) -> None:
    """Refuse nodes that return after another one, and nodes with unequal numbers of ranks."""
    if not runs:
        raise BadInput("the replica has no ranks", "Plan again")
    nodes = [node for node, _ in runs]
    names = {place.node: place.node_name for _, ranks in runs for place in ranks}
    twice = next((node for node in nodes if nodes.count(node) > 1), None)
    if twice is not None:
        raise BadInput(
            f"the ranks on {names[twice]} are not consecutive, and engines place consecutive ranks on a node",
            "Choose a layout whose tensor-parallel groups each stay on one node",
        )
    counts = [len(ranks) for _, ranks in runs]
    if len(set(counts)) > 1:
        text = ", ".join(f"{len(ranks)} on {names[node]}" for node, ranks in runs)
        raise BadInput(
            f"the replica's ranks are spread unevenly ({text}); engines need the same number on every node",
            "Choose a layout with the same number of GPUs on each node",
        )


def _check_attention_ranks(runs: Sequence[tuple[str, list[Placement]]], launch: ServerLaunch) -> None:
    """Refuse attention ranks that are themselves spread over nodes."""
    whole, name = launch.tp * launch.pp, runs[0][1][0].node_name
    if len(runs) > 1 and len(runs[0][1]) % whole:
        raise BadInput(
            f"each data-parallel attention rank takes {whole} GPUs and must stay on one node, but {name} "
            f"holds {len(runs[0][1])} of the replica's ranks",
            "Choose a smaller TP, or nodes with more free GPUs",
        )
