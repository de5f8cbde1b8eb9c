"""How long a GPU or driver is left alone after hangs and crashes."""

from __future__ import annotations

from cluster.probe.quarantine import Quarantine


def test_a_gpu_that_hangs_is_skipped_at_once_and_each_time_for_longer() -> None:
    quarantine = Quarantine()
    assert quarantine.hung(2, "why", now_s=0.0) == 0.0
    assert quarantine.skipped(119.0) == {2: "why"}
    assert quarantine.skipped(121.0) == {}
    quarantine.hung(2, "again", now_s=121.0)
    assert quarantine.skipped(121.0 + 239.0) == {2: "again"}
    assert quarantine.skipped(121.0 + 241.0) == {}


def test_a_hang_of_the_whole_driver_pauses_longer_and_longer() -> None:
    quarantine = Quarantine()
    pauses = [quarantine.hung(None, "why", now_s=0.0) for _ in range(10)]
    assert pauses[:3] == [0.5, 1.0, 2.0]
    assert pauses[-1] == 30.0
    assert quarantine.skipped(0.0) == {}


def test_one_crash_skips_nothing_a_second_on_the_same_gpu_does() -> None:
    quarantine = Quarantine()
    quarantine.crashed(1, "first", now_s=0.0)
    assert quarantine.skipped(0.0) == {}
    quarantine.crashed(3, "elsewhere", now_s=0.0)
    assert quarantine.skipped(0.0) == {}
    quarantine.crashed(3, "second", now_s=0.0)
    assert quarantine.skipped(0.0) == {3: "second"}


def test_after_a_good_run_pauses_start_short_again() -> None:
    quarantine = Quarantine()
    quarantine.crashed(None, "a", now_s=0.0)
    quarantine.crashed(None, "b", now_s=0.0)
    quarantine.recovered()
    assert quarantine.crashed(None, "c", now_s=0.0) == 0.5
