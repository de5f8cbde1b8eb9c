"""Verdicts over time: no flicker, nothing forgotten while a reader starts again, bounded memory."""

from __future__ import annotations

from typing import Any

from cluster.detail import EccCounts
from cluster.health.thresholds import thresholds
from cluster.health.watch import HealthWatch
from cluster.inventory import Node
from tests.cluster.health.scene import one_gpu

THROTTLED = {"throttle_reasons": ("hw_thermal",), "sm_clock_mhz": 990.0}
RULE = thresholds().findings["throttled"]


class Watched:
    """One GPU, looked at second by second."""

    def __init__(self) -> None:
        self.watch, self.now_s = HealthWatch(), 0.0
        self.node, _, _ = one_gpu()
        self.judged: Node | None = None

    def look(self, reading: dict[str, Any] | None = None, detail: dict[str, Any] | None = None) -> list[str]:
        _, fast, slow = one_gpu(reading, detail)
        self.now_s += 1.0
        self.judged = self.watch.judge(self.node, fast, slow, self.now_s)
        health = self.judged.gpus[0].health
        assert health is not None
        return [finding.text for finding in health.findings]


def test_a_finding_counts_once_it_has_lasted_and_ends_once_it_is_gone_for_long_enough() -> None:
    watched = Watched()
    began = next(second for second in range(100) if watched.look(THROTTLED))
    assert began == RULE.begins_after_s
    ended = next(second for second in range(1, 200) if not watched.look())
    assert ended == RULE.ends_after_s


def test_flicker_is_no_finding_and_ends_none() -> None:
    watched = Watched()
    assert not any(watched.look(THROTTLED if second % 2 else None) for second in range(20))
    for _ in range(10):
        watched.look(THROTTLED)
    assert all(watched.look(None if second % 2 else THROTTLED) for second in range(40))


def test_what_is_broken_counts_at_once_and_outlasts_a_gap_in_the_slow_figures() -> None:
    watched = Watched()
    broken = {"ecc": EccCounts(volatile_uncorrected=1)}
    assert watched.look(detail=broken)
    _, fast, _ = one_gpu()
    for _ in range(10):
        watched.now_s += 1
        judged = watched.watch.judge(watched.node, fast, None, watched.now_s)
        assert not judged.gpus[0].healthy


def test_figures_that_move_each_second_are_no_news() -> None:
    watched = Watched()
    for _ in range(10):
        watched.look(THROTTLED)
    first = watched.judged
    assert watched.look({**THROTTLED, "sm_clock_mhz": 1005.0}) == [
        "throttled: 990 of 1,980 MHz (hardware thermal slowdown)"
    ]
    assert watched.judged is first
    assert watched.look({**THROTTLED, "sm_clock_mhz": 345.0}) == [
        "throttled: 345 of 1,980 MHz (hardware thermal slowdown)"
    ]
    for _ in range(int(thresholds().watch.refresh_s)):
        last = watched.look({**THROTTLED, "sm_clock_mhz": 360.0})
    assert last == ["throttled: 360 of 1,980 MHz (hardware thermal slowdown)"]


def test_a_new_inventory_is_judged_anew() -> None:
    watched = Watched()
    watched.look()
    watched.node = one_gpu(claimed_by="llama")[0]
    watched.look()
    assert watched.judged is not None and watched.judged.gpus[0].claimed_by == "llama"


def test_nodes_and_gpus_that_are_gone_are_forgotten() -> None:
    watched = Watched()
    for _ in range(10):
        watched.look(THROTTLED)
    watched.watch.keep([])
    assert watched.look(THROTTLED) == []
