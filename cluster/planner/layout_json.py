"""Layouts and placements as JSON values: the same in a plan, a fix, an order and a status."""

from __future__ import annotations

from typing import Any

from cluster.planner.layout import Layout, Placement

Json = dict[str, Any]


def layout_to_json(layout: Layout) -> Json:
    """Return the degrees of a layout."""
    return {
        "tp": layout.tp,
        "pp": layout.pp,
        "dp": layout.dp,
        "ep": layout.ep,
        "gpus": layout.gpus,
        "dp_attention": layout.dp_attention,
    }


def placement_to_json(place: Placement, layout: Layout) -> Json:
    """Return one rank of `layout` and its GPU."""
    return {
        "replica": place.replica,
        "stage": place.stage,
        "rank": place.rank,
        "attention_rank": place.rank // layout.tp,
        "node": place.node_name,
        "node_id": place.node,
        "gpu_index": place.gpu_index,
        "gpu_uuid": place.gpu_uuid,
    }
