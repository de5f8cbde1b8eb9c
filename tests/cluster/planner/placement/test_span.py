"""What a candidate says of where its replicas lie is what its ranks say."""

from __future__ import annotations

import pytest

from cluster.cluster_spec import parse_cluster_spec
from cluster.planner.placement import ranks as ranks_module
from cluster.planner.result import Candidate
from tests.cluster.planner.ask import LLAMA_8B, LLAMA_70B, LLAMA_405B, ask, best


def nodes_of(candidate: Candidate, replica: int) -> set[str]:
    return {rank.node for rank in candidate.placement if rank.replica == replica}


@pytest.mark.parametrize(
    ("model", "spec"),
    [(LLAMA_8B, "2x4xA100-80GB,1x8xL4"), (LLAMA_405B, "3x8xH100"), (LLAMA_405B, "4x4xGB200")],
)
def test_the_span_is_what_the_ranks_span(model: str, spec: str) -> None:
    feasible = [one for one in ask(model, spec).candidates if one.feasible]
    assert feasible
    for candidate in feasible:
        widest = max(len(nodes_of(candidate, replica)) for replica in range(candidate.layout.num_replicas))
        assert candidate.span.nodes_per_replica == widest
        assert candidate.form.layout(candidate.layout.num_replicas) == candidate.layout
        if widest == 1:
            assert not candidate.span.crosses_network and not candidate.span.shares_nodes


def test_one_nvlink_domain_is_one_machine() -> None:
    wide = best(ask(LLAMA_405B, "4x4xGB200", tp=16))
    assert (wide.span.nodes_per_replica, wide.span.machines_per_replica) == (4, 1)
    assert wide.span.on_nvlink and not wide.span.crosses_network


def test_a_group_over_nodes_that_was_asked_for_is_known_as_one() -> None:
    wide = best(ask(LLAMA_70B, "2x4xA100-80GB", tp=8))
    assert (wide.span.joins, wide.span.crosses_network, wide.span.on_nvlink) == ("nodes", True, False)


def test_looking_at_the_first_ranks_places_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    placed = []
    place = ranks_module._replica_ranks
    monkeypatch.setattr(ranks_module, "_replica_ranks", lambda *args: placed.append(1) or place(*args))
    placement = best(ask(LLAMA_8B, parse_cluster_spec("100x8xH100"))).placement
    first = next(iter(placement))
    assert (first.replica, first.rank, sum(placed)) == (0, 0, 1)
    assert len(list(placement)) == len(placement) == 800
    assert placement[-1].replica == 799
