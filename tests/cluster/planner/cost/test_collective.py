"""All-reduces follow the alpha-beta model, and links measured on the cluster replace its constants."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.catalog.gpus import find_gpu
from cluster.inventory import MeasuredLink
from cluster.planner.cost import all_reduce_time_s, all_to_all_time_s, link_for
from cluster.planner.layout import Layout
from cluster.planner.replica import ReplicaLinks, TpLink
from tests.cluster.planner.cost.setups import ask
from tests.evidence.hardware_accuracy import SMALL_BYTES, all_reduce_misses

EVIDENCE = Path(__file__).parents[3] / "evidence" / "data"
KINDS = st.sampled_from(["nvlink", "nvlink_domain", "pcie", "network"])


@given(KINDS, st.integers(2, 64), st.floats(1, 1e10), st.floats(1, 1e10))
def test_more_bytes_never_take_less_time(kind: str, ranks: int, one: float, other: float) -> None:
    link = link_for(kind, ranks, find_gpu("H100"), ReplicaLinks())
    less, more = sorted((one, other))
    assert 0 < all_reduce_time_s(less, ranks, link) <= all_reduce_time_s(more, ranks, link)
    assert 0 < all_to_all_time_s(less, ranks, link) <= all_to_all_time_s(more, ranks, link)


def test_one_rank_has_nobody_to_talk_to() -> None:
    link = link_for("nvlink", 1, find_gpu("H100"), ReplicaLinks())
    assert all_reduce_time_s(1e9, 1, link) == 0.0


def test_links_are_as_fast_as_they_should_be_beside_each_other() -> None:
    gpu = find_gpu("A100-80GB")
    times = [
        all_reduce_time_s(64 * 2**20, 8, link_for(kind, 8, gpu, ReplicaLinks(network_bytes_per_s=12.5e9)))
        for kind in ("nvlink", "pcie", "network")
    ]
    assert times == sorted(times)


def test_a_bridge_joins_two_gpus_and_no_more() -> None:
    gpu = find_gpu("RTX-3090")
    pair, group = (link_for("nvlink", ranks, gpu, ReplicaLinks()) for ranks in (2, 4))
    assert pair.bandwidth_bytes_per_s > group.bandwidth_bytes_per_s
    pcie = link_for("pcie", 4, gpu, ReplicaLinks())
    assert group.bandwidth_bytes_per_s == pcie.bandwidth_bytes_per_s
    assert group.latency_s == pcie.latency_s


def test_a_measured_link_replaces_the_constants() -> None:
    measured = MeasuredLink(scope="node", num_ranks=4, latency_s=1e-3, bandwidth_bytes_per_s=1e9)
    link = link_for("nvlink", 4, find_gpu("H100"), ReplicaLinks(measured=(measured,)))
    assert all_reduce_time_s(1e9, 4, link) == pytest.approx(1e-3 + 1.5)
    elsewhere = link_for("network", 4, find_gpu("H100"), ReplicaLinks(measured=(measured,)))
    assert all_reduce_time_s(1e9, 4, elsewhere) != pytest.approx(1e-3 + 1.5)


def test_large_all_reduces_take_what_was_measured() -> None:
    errors = [abs(miss.relative) for size, miss in all_reduce_misses(EVIDENCE) if size > SMALL_BYTES]
    assert len(errors) > 50
    assert median(errors) < 0.2


def test_tokens_go_everywhere_in_a_node_and_once_to_each_other_node() -> None:
    def exchange_s(node_ranks: int, kind: TpLink, network: float = 50e9) -> float:
        layout = Layout(tp=1, dp=16, ep=16, dp_attention=True)
        links = ReplicaLinks(tp_link=kind, network_bytes_per_s=network, gpus_per_node=node_ranks)
        found = ask("deepseek-ai/DeepSeek-V3", layout, "H200", links, 10**7, concurrency=1600)
        return found.all_reduce_share * found.tpot_s.value

    assert exchange_s(8, "network") == pytest.approx(exchange_s(8, "network", 25e9) / 2, rel=0.15)
    assert exchange_s(16, "nvlink_domain") < exchange_s(16, "pcie")
