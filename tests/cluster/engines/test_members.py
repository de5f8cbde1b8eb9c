"""The nodes of a replica, from its ranks."""

from __future__ import annotations

import pytest

from cluster.engines.launch import ServerLaunch
from cluster.engines.members import members_of
from cluster.errors import BadInput
from cluster.planner.layout import Placement


def _launch(**degrees: int) -> ServerLaunch:
    return ServerLaunch(model="m", served_name="m", **degrees)


def _places(*ranks: tuple[int, int, str, int]) -> list[Placement]:
    return [
        Placement(0, stage, rank, node, f"name-of-{node}", gpu, f"GPU-{node}-{gpu}")
        for stage, rank, node, gpu in ranks
    ]


def test_one_node_is_one_member_with_its_gpus_in_rank_order() -> None:
    (member,) = members_of(_places((0, 1, "a", 5), (0, 0, "a", 7)), _launch(tp=2))
    assert member.gpu_indices == (7, 5)
    assert member.gpu_uuids == ("GPU-a-7", "GPU-a-5")
    assert (member.number, member.num_members, member.is_leader) == (0, 1, True)


def test_stages_on_two_nodes_are_two_members_led_by_the_first_stage() -> None:
    places = _places((1, 0, "b", 0), (1, 1, "b", 1), (0, 0, "a", 2), (0, 1, "a", 3))
    first, second = members_of(places, _launch(tp=2, pp=2))
    assert (first.gpu_indices, second.gpu_indices) == ((2, 3), (0, 1))
    assert [member.number for member in (first, second)] == [0, 1]
    assert second.num_members == 2 and not second.is_leader


def test_a_tensor_parallel_group_may_span_nodes() -> None:
    places = _places((0, 0, "a", 0), (0, 1, "a", 1), (0, 2, "b", 0), (0, 3, "b", 1))
    assert [member.gpu_indices for member in members_of(places, _launch(tp=4))] == [(0, 1), (0, 1)]


def test_attention_ranks_come_before_their_stages() -> None:
    """vLLM numbers the GPUs of a node attention rank by attention rank, each with all its stages."""
    places = _places((0, 0, "a", 0), (0, 1, "a", 1), (1, 0, "a", 2), (1, 1, "a", 3))
    (member,) = members_of(places, _launch(tp=1, pp=2, attention_dp=2))
    assert member.gpu_indices == (0, 2, 1, 3)


@pytest.mark.parametrize(
    ("ranks", "degrees", "said"),
    [
        ((), {"tp": 1}, "no ranks"),
        (((0, 0, "a", 0), (0, 1, "b", 0), (0, 2, "a", 1)), {"tp": 3}, "name-of-a are not consecutive"),
        (((0, 0, "a", 0), (0, 1, "a", 1), (0, 2, "b", 0)), {"tp": 3}, "2 on name-of-a, 1 on name-of-b"),
        (((0, 0, "a", 0), (0, 1, "b", 0)), {"tp": 2, "attention_dp": 2}, "must stay on one node"),
    ],
)
def test_what_engines_cannot_span_is_refused_in_one_line(
    ranks: tuple[tuple[int, int, str, int], ...], degrees: dict[str, int], said: str
) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        members_of(_places(*ranks), _launch(**degrees))
    assert refused.value.hint
