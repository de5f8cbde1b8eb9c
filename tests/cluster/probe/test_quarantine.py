"""What is left alone after hangs and crashes, and for how long."""

from __future__ import annotations

from cluster.probe.place import Place
from cluster.probe.quarantine import Quarantine

NOWHERE = Place()


def power(gpu: int | None) -> Place:
    return Place(gpu, "nvmlDeviceGetPowerUsage")


def handle(gpu: int) -> Place:
    return Place(gpu, "nvmlDeviceGetHandleByIndex")


def calls_out(quarantine: Quarantine, now_s: float = 0.0) -> set[tuple[str, int | None]]:
    return {(out.function, out.gpu_index) for out in quarantine.left_out(now_s)}


def test_a_gpu_that_hangs_is_skipped_at_once_and_each_time_for_longer() -> None:
    quarantine = Quarantine()
    assert quarantine.hung(power(2), "why", now_s=0.0, num_gpus=8) == 0.0
    assert quarantine.skipped(119.0) == {2: "why"}
    assert quarantine.skipped(121.0) == {}
    quarantine.hung(power(2), "again", now_s=121.0, num_gpus=8)
    assert quarantine.skipped(121.0 + 239.0) == {2: "again"}
    assert quarantine.skipped(121.0 + 241.0) == {}


def test_a_call_that_hangs_on_three_gpus_is_left_out_and_they_are_read_again() -> None:
    quarantine = Quarantine()
    for gpu in range(3):
        quarantine.hung(power(gpu), "why", now_s=0.0, num_gpus=8)
    assert (calls_out(quarantine), quarantine.skipped(0.0)) == ({("nvmlDeviceGetPowerUsage", None)}, {})


def test_gpus_that_hang_in_other_calls_too_are_skipped_themselves() -> None:
    quarantine = Quarantine()
    for function in ("nvmlDeviceGetPowerUsage", "nvmlDeviceGetName"):
        for gpu in range(3):
            quarantine.hung(Place(gpu, function), "why", now_s=0.0, num_gpus=8)
    assert quarantine.skipped(0.0).keys() == {0, 1, 2}


def test_the_only_gpu_is_read_without_the_call_that_hangs() -> None:
    quarantine = Quarantine()
    quarantine.hung(power(0), "why", now_s=0.0, num_gpus=1)
    assert (calls_out(quarantine), quarantine.skipped(0.0)) == ({("nvmlDeviceGetPowerUsage", None)}, {})


def test_a_hang_of_the_whole_driver_pauses_longer_and_longer() -> None:
    quarantine = Quarantine()
    pauses = [quarantine.hung(Place(None, "nvmlDeviceGetCount"), "why", now_s=0.0) for _ in range(10)]
    assert pauses[:3] == [0.5, 1.0, 2.0]
    assert pauses[-1] == 30.0
    assert (quarantine.skipped(0.0), quarantine.left_out(0.0)) == ({}, ())


def test_a_call_is_left_out_after_two_tries_on_one_gpu_there() -> None:
    quarantine = Quarantine()
    quarantine.crashed(power(1), "first", now_s=0.0)
    assert calls_out(quarantine) == set()
    quarantine.crashed(power(1), "second", now_s=0.0)
    assert calls_out(quarantine) == {("nvmlDeviceGetPowerUsage", 1)}
    (out,) = quarantine.left_out(0.0)
    assert out.reason == "left out for 10 minutes: second"
    assert quarantine.skipped(0.0) == {}
    assert calls_out(quarantine, 601.0) == set()
    quarantine.crashed(power(1), "third", now_s=601.0)
    assert calls_out(quarantine, 601.0 + 1199.0) == {("nvmlDeviceGetPowerUsage", 1)}


def test_a_call_is_left_out_everywhere_after_two_gpus() -> None:
    quarantine = Quarantine()
    quarantine.crashed(power(1), "first", now_s=0.0)
    quarantine.crashed(power(3), "second", now_s=0.0)
    assert calls_out(quarantine) == {("nvmlDeviceGetPowerUsage", None)}


def test_an_optional_call_of_the_node_is_left_out_after_two_tries() -> None:
    quarantine = Quarantine()
    for _ in range(2):
        quarantine.crashed(Place(None, "nvmlSystemGetDriverVersion"), "why", now_s=0.0)
    assert calls_out(quarantine) == {("nvmlSystemGetDriverVersion", None)}


def test_a_required_call_costs_the_gpu_instead() -> None:
    quarantine = Quarantine()
    quarantine.crashed(handle(1), "first", now_s=0.0)
    quarantine.crashed(handle(3), "elsewhere", now_s=0.0)
    assert quarantine.skipped(0.0) == {}
    quarantine.crashed(handle(3), "second", now_s=0.0)
    assert (quarantine.skipped(0.0), quarantine.left_out(0.0)) == ({3: "second"}, ())


def test_a_gpu_on_which_three_calls_crash_is_skipped_where_there_are_others() -> None:
    for num_gpus, skipped in ((8, {5}), (1, set())):
        quarantine = Quarantine()
        for number in range(6):
            quarantine.crashed(Place(5, f"call{number // 2}"), "why", now_s=0.0, num_gpus=num_gpus)
        assert quarantine.skipped(0.0).keys() == skipped


def test_after_a_good_run_pauses_start_short_again() -> None:
    quarantine = Quarantine()
    quarantine.crashed(NOWHERE, "a", now_s=0.0)
    quarantine.crashed(NOWHERE, "b", now_s=0.0)
    quarantine.recovered()
    assert quarantine.crashed(NOWHERE, "c", now_s=0.0) == 0.5
