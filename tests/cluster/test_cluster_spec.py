"""Cluster specs, and the position of a mistake in one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.cluster_spec import parse_cluster_spec
from cluster.errors import BadInput, ClusterviewError, UnknownName


def test_nodes_gpus_and_types() -> None:
    cluster = parse_cluster_spec("2x4xA100-80GB,1x8xl4")
    assert [len(node.gpus) for node in cluster.nodes] == [4, 4, 8]
    assert [node.name for node in cluster.nodes] == ["node-1", "node-2", "node-3"]
    assert cluster.nodes[2].gpus[7].type == "L4"
    assert len({gpu.uuid for node in cluster.nodes for gpu in node.gpus}) == cluster.num_gpus == 16


def test_islands_follow_the_gpu_type() -> None:
    assert {gpu.nvlink_island for gpu in parse_cluster_spec("8xH100").nodes[0].gpus} == {"nvlink-0"}
    assert {gpu.nvlink_island for gpu in parse_cluster_spec("8xL40S").nodes[0].gpus} == {None}
    assert {gpu.nvlink_island for gpu in parse_cluster_spec("4xRTX-3090").nodes[0].gpus} == {None}


def test_nodes_of_a_rack_share_an_nvlink_domain() -> None:
    domains = [node.nvlink_domain for node in parse_cluster_spec("20x4xGB200").nodes]
    assert domains[0] == domains[17] != domains[18] == domains[19]


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("", 1, "group of GPUs"),
        ("2x4xA100-80GB,", 15, "group of GPUs"),
        ("A100-80GB", 1, "number of GPUs"),
        ("4x", 3, "GPU type"),
        ("2x4x", 5, "GPU type"),
        ("4 A100-80GB", 3, "'x'"),
        ("0xA100-80GB", 1, "out of range"),
        ("2x4xA100-80GB,3xB1000", 17, "Unknown GPU type"),
        ("99999999999999xL4", 1, "out of range"),
    ],
)
def test_errors_name_the_position(text: str, position: int, expected: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_cluster_spec(text)
    assert f"at position {position} of" in caught.value.message
    assert expected in caught.value.message


def test_an_unknown_type_names_the_nearest() -> None:
    with pytest.raises(UnknownName) as caught:
        parse_cluster_spec("4xA100-81GB")
    assert "A100-80GB" in caught.value.hint


def test_absurd_sizes_are_refused_at_once() -> None:
    with pytest.raises(BadInput, match="GPUs"):
        parse_cluster_spec("200000x200000xL4")


@settings(deadline=None)
@given(st.text(max_size=40) | st.from_regex(r"[0-9x, ]{0,6}(A100-80GB|L4|H100)?[0-9x,]{0,4}", fullmatch=True))
def test_any_text_parses_or_is_refused_in_one_line(text: str) -> None:
    try:
        cluster = parse_cluster_spec(text)
    except ClusterviewError as error:
        assert "\n" not in error.one_line()
    else:
        assert cluster.num_gpus > 0
