"""What is reported of a cluster that changes, and what is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cluster.deploy.status import DeploymentState, DeploymentStatus, ReplicaStatus, RouterStatus
from cluster.incidents.fold import MOST_ALIKE, fold
from cluster.incidents.incident import Incident
from cluster.incidents.log import MOST_KEPT, IncidentLog
from cluster.incidents.settling import Settling
from cluster.incidents.watch import IncidentWatch
from cluster.incidents.xid_watch import known_xids
from cluster.inventory import Cluster, Node, NodeLeft
from tests.cluster.incidents.builders import START_S, detail, health, make_cluster, reading, said

HOT = {"throttle_reasons": ("hw_thermal",), "temperature_c": 91.0, "sm_clock_mhz": 345.0}


def watching(cluster: Cluster | None = None) -> IncidentWatch:
    """A watch that has seen a cluster, quiet readings and slow figures."""
    watch = IncidentWatch()
    watch.see_cluster(cluster or make_cluster(), START_S)
    watch.see_readings([reading(0), reading(1)], START_S)
    watch.see_details([detail()], START_S)
    return watch


def over_seconds(see: Callable[[float], list[Incident]], first: int, last: int) -> list[Incident]:
    """Look once a second and collect what is reported."""
    return [one for second in range(first, last + 1) for one in see(START_S + second)]


def test_a_quiet_cluster_reports_nothing() -> None:
    watch = watching()
    found = over_seconds(lambda at_s: watch.see_readings([reading(0), reading(1)], at_s), 1, 60)
    assert found == [] and watch.see_cluster(make_cluster(), START_S + 61) == []


def test_throttling_that_holds_is_reported_once_with_figures_and_its_end_with_how_long() -> None:
    watch = watching()
    begun = over_seconds(lambda at_s: watch.see_readings([reading(0, **HOT)], at_s), 10, 30)
    assert said(begun) == [
        "node-0 GPU 0: throttling begins: hardware thermal slowdown, 91 °C, 345 of 1,980 MHz"
    ]
    assert begun[0].at_s == START_S + 10 and begun[0].gpu_uuid == "GPU-0-0"
    ended = over_seconds(lambda at_s: watch.see_readings([reading(0)], at_s), 31, 60)
    assert said(ended) == ["node-0 GPU 0: throttling ends: after 21 s"]
    assert ended[0].at_s == START_S + 31 and ended[0].severity == "good"


def test_throttling_that_flickers_is_one_event() -> None:
    watch = watching()

    def look(at_s: float) -> list[Incident]:
        cool = at_s % 5 == 0  # never cool for as long as an end needs
        return watch.see_readings([reading(0) if cool else reading(0, **HOT)], at_s)

    assert said(over_seconds(look, 1, 120))[1:] == []


def test_a_short_flicker_is_no_event_and_a_power_limit_under_load_is_none() -> None:
    watch = watching()
    found = watch.see_readings([reading(0, **HOT)], START_S + 1)
    found += watch.see_readings([reading(0)], START_S + 2)
    capped = {"throttle_reasons": ("sw_power_cap",)}
    found += over_seconds(lambda at_s: watch.see_readings([reading(0, **capped)], at_s), 3, 30)
    assert found == []


def test_unread_throttle_reasons_neither_end_nor_begin_throttling() -> None:
    watch = watching()
    over_seconds(lambda at_s: watch.see_readings([reading(0, **HOT)], at_s), 1, 10)
    unread = {"throttle_reasons": None}
    assert over_seconds(lambda at_s: watch.see_readings([reading(0, **unread)], at_s), 11, 60) == []


@pytest.mark.parametrize(
    ("state", "words"),
    [("lost", "does not answer: no route"), ("hung", "GPU driver hangs: no route")],
)
def test_a_node_that_stops_answering_and_answers_again(state: str, words: str) -> None:
    watch = watching()
    silent = over_seconds(lambda at_s: watch.see_readings([reading(0, state, "no route")], at_s), 1, 20)
    assert said(silent) == [f"node-0: {words}"] and silent[0].severity == "bad"
    back = over_seconds(lambda at_s: watch.see_readings([reading(0)], at_s), 21, 40)
    assert said(back) == ["node-0: answers again: after 20 s"]


def test_a_node_that_flaps_is_one_event() -> None:
    watch = watching()

    def look(at_s: float) -> list[Incident]:
        return watch.see_readings([reading(0, "lost" if at_s % 3 else "ok")], at_s)

    assert said(over_seconds(look, 1, 60)) == ["node-0: does not answer"]


def test_a_silent_node_at_the_start_is_reported() -> None:
    watch = IncidentWatch()
    watch.see_cluster(make_cluster(), START_S)
    assert said(watch.see_readings([reading(0, "lost", "gone")], START_S)) == [
        "node-0: does not answer: gone"
    ]


def test_nodes_join_leave_come_back_and_vanish() -> None:
    watch = watching(make_cluster(1))
    left = NodeLeft(at_s=START_S + 5, reason="its raylet died", held=("llama R0 rank 1",))
    assert said(watch.see_cluster(make_cluster(2), START_S + 1)) == ["node-1: joined: 2 GPUs"]
    assert said(watch.see_cluster(make_cluster(2, left=left), START_S + 6)) == [
        "node-0: left the cluster: its raylet died; ran there: llama R0 rank 1"
    ]
    assert watch.see_cluster(make_cluster(2, left=left), START_S + 7) == []
    assert said(watch.see_cluster(make_cluster(2), START_S + 8)) == ["node-0: is back: 2 GPUs"]
    assert said(watch.see_cluster(make_cluster(1), START_S + 9)) == ["node-1: is no longer in the cluster"]


def test_a_dead_node_that_is_dismissed_is_not_reported_again() -> None:
    left = NodeLeft(at_s=START_S, reason="died")
    watch = watching(make_cluster(2))
    watch.see_cluster(make_cluster(2, left=left), START_S + 1)
    rest = make_cluster(2).model_copy(update={"nodes": make_cluster(2).nodes[1:]})
    assert watch.see_cluster(rest, START_S + 2) == []


def test_gpus_that_vanish_or_cannot_be_read() -> None:
    watch = watching()
    first, second = make_cluster().nodes
    fewer = first.model_copy(update={"gpus": first.gpus[:1]})
    unread = fewer.model_copy(update={"error": "no driver"})

    def see(node: Node, at_s: float) -> list[str]:
        return said(watch.see_cluster(Cluster(source="ray", nodes=(node, second)), at_s))

    assert see(fewer, START_S + 1) == ["node-0 GPU 1: GPU has vanished from its node"]
    assert see(unread, START_S + 2) == ["node-0: GPUs cannot be read: no driver"]
    assert see(fewer, START_S + 3) == ["node-0: GPUs can be read again"]
    failing = {"error": "GPU is lost"}
    found = over_seconds(lambda at_s: watch.see_readings([reading(0, **failing)], at_s), 3, 9)
    assert said(found) == ["node-0 GPU 0: GPU fails: GPU is lost"]


def test_links_that_go_down_and_come_up_are_named() -> None:
    watch = watching()

    def look(up: list[int]) -> Callable[[float], list[Incident]]:
        return lambda at_s: watch.see_details([detail(up)], at_s)

    assert said(over_seconds(look([0, 3]), 1, 8)) == ["node-0 GPU 0: NVLinks are down: 2 of 4: 1, 2"]
    assert said(over_seconds(look([3]), 9, 16)) == ["node-0 GPU 0: NVLinks are down: 3 of 4: 0, 1, 2"]
    assert said(over_seconds(look([1, 3]), 17, 40)) == [
        "node-0 GPU 0: NVLinks are up again: 1; 0, 2 of 4 still down"
    ]
    assert said(over_seconds(look([0, 1, 2, 3]), 41, 60)) == [
        "node-0 GPU 0: NVLinks are up again: 0, 2; all 4 are up"
    ]


def test_links_that_are_reported_down_once_count_when_time_has_passed() -> None:
    """Slow figures are sent when they change, so that no second look may come."""
    watch = watching()
    assert watch.see_details([detail([0, 1])], START_S + 1) == []
    later = over_seconds(lambda at_s: watch.see_readings([reading(0)], at_s), 2, 20)
    assert said(later) == ["node-0 GPU 0: NVLinks are down: 2 of 4: 2, 3"]
    assert watch.see_details([detail()], START_S + 21) == []
    watch.see_details([detail([0, 1])], START_S + 22)
    assert over_seconds(lambda at_s: watch.see_readings([reading(0)], at_s), 23, 60) == []


def test_links_that_never_were_up_are_no_event() -> None:
    watch = IncidentWatch()
    watch.see_cluster(make_cluster(), START_S)
    assert over_seconds(lambda at_s: watch.see_details([detail(())], at_s), 0, 60) == []


def test_xids_are_reported_once_with_their_own_time_also_after_a_probe_has_restarted() -> None:
    watch = watching()
    first, second = (79, START_S + 3.0), (31, START_S + 20.0)
    found = watch.see_details([detail(xids=[first])], START_S + 5)
    assert said(found) == ["node-0 GPU 0: Xid 79: GPU fell off the bus"]
    assert (found[0].at_s, found[0].severity) == (START_S + 3, "bad")
    assert watch.see_details([detail(xids=[first])], START_S + 10) == []
    assert watch.see_details([detail(xids=[])], START_S + 15) == []
    assert said(watch.see_details([detail(xids=[first, second])], START_S + 22)) == [
        "node-0 GPU 0: Xid 31: memory page fault, usually of a program"
    ]


def test_an_unknown_xid_has_its_number_only_and_those_before_the_start_are_marked() -> None:
    watch = IncidentWatch()
    watch.see_cluster(make_cluster(), START_S)
    found = watch.see_details([detail(xids=[(9999, START_S - 60)])], START_S)
    assert said(found) == ["node-0 GPU 0: Xid 9999"] and found[0].at_start
    assert all(known_xids().values())


def test_health_findings_begin_change_and_end() -> None:
    watch = IncidentWatch()
    first = watch.see_cluster(make_cluster(health=health("hot")), START_S)
    assert said(first) == ["node-0 GPU 0: degraded: hot text"] and first[0].at_start
    two = make_cluster(health=health("hot", "pcie_narrow"))
    assert said(watch.see_cluster(two, START_S + 15)) == ["node-0 GPU 0: degraded: pcie_narrow text"]
    worse = make_cluster(health=health("hot", "pcie_narrow", state="unhealthy"))
    assert said(watch.see_cluster(worse, START_S + 30)) == [
        "node-0 GPU 0: unhealthy: hot text",
        "node-0 GPU 0: unhealthy: pcie_narrow text",
    ]
    fine = make_cluster(health=health())
    assert said(watch.see_cluster(fine, START_S + 70)) == [
        "node-0 GPU 0: over: hot",
        "node-0 GPU 0: over: pcie narrow",
    ]


def test_what_readings_show_earlier_and_what_comes_with_work_is_not_reported_by_health() -> None:
    watch = watching(make_cluster(health=health()))
    found = watch.see_cluster(make_cluster(health=health("throttled", "nvlinks_down", "busy")), START_S + 1)
    assert found == []


def test_a_node_that_is_silent_or_has_left_has_no_health_events() -> None:
    watch = watching(make_cluster(health=health()))
    watch.see_readings([reading(0, "lost")], START_S + 1)
    sick = make_cluster(health=health("lost", "ecc_uncorrectable", state="unhealthy"))
    assert watch.see_cluster(sick, START_S + 2) == []


def deployment(
    state: DeploymentState, reason: str = "", restarts: int = 0, **more: object
) -> DeploymentStatus:
    replica = ReplicaStatus(replica=1, ready=True, restarts=restarts, last_trouble="rank 2: its process died")
    return DeploymentStatus(
        name="llama",
        model="m",
        label="TP=2",
        state=state,
        reason=reason,
        replicas=(replica,),
        **more,  # type: ignore[arg-type]
    )


def test_deployment_states_restarts_and_ends() -> None:
    watch = watching()
    starting, ready = DeploymentState.STARTING, DeploymentState.READY
    watch.see_deployments([], START_S)
    assert said(watch.see_deployments([deployment(starting, age_s=4.0)], START_S + 5)) == [
        "llama: is starting"
    ]
    assert said(watch.see_deployments([deployment(ready)], START_S + 20)) == ["llama: is ready"]
    degraded = deployment(DeploymentState.DEGRADED, "1 of 2 replicas serve", restarts=1)
    assert said(watch.see_deployments([degraded], START_S + 30)) == [
        "llama: replica 1 restarts: rank 2: its process died",
        "llama: is degraded: 1 of 2 replicas serve",
    ]
    back = over_seconds(lambda at_s: watch.see_deployments([deployment(ready, restarts=1)], at_s), 36, 42)
    assert said(back) == ["llama: is ready: after 6 s"]
    router = deployment(ready, restarts=1, router=RouterStatus(restarts=1, last_trouble="it hung"))
    assert said(watch.see_deployments([router], START_S + 50)) == ["llama: its router restarts: it hung"]
    failed = deployment(DeploymentState.FAILED, "replica 0: rank 2: its process died", restarts=1)
    assert watch.see_deployments([failed], START_S + 60)[-1].severity == "bad"
    assert said(watch.see_deployments([], START_S + 70)) == ["llama: has ended"]


def test_a_replica_that_restarts_in_a_circle_does_not_become_ready_each_time() -> None:
    watch = watching()
    watch.see_deployments([], START_S)
    ready, degraded = deployment(DeploymentState.READY), deployment(DeploymentState.DEGRADED)
    watch.see_deployments([ready], START_S)

    def look(at_s: float) -> list[Incident]:
        return watch.see_deployments([ready if at_s % 4 == 0 else degraded], at_s)

    assert said(over_seconds(look, 1, 60)) == ["llama: is degraded"]


def test_the_connection_is_reported_when_it_breaks_and_when_it_is_back() -> None:
    watch = watching()
    found = watch.see_connection("the head does not answer", START_S)
    found += watch.see_connection("the head does not answer, trying again", START_S + 1)
    found += watch.see_connection("", START_S + 9)
    assert said(found) == ["connection: is down: the head does not answer", "connection: is up again"]


def test_many_alike_in_one_look_are_one() -> None:
    watch = IncidentWatch()
    cluster = make_cluster(100)
    watch.see_cluster(cluster, START_S)
    watch.see_readings([reading(number) for number in range(100)], START_S)
    found = watch.see_readings([reading(number, "lost", "no route") for number in range(100)], START_S + 1)
    assert said(found) == ["100 nodes: does not answer: node-0, node-1, node-2 and 97 more; node-0: no route"]


def test_the_gpus_of_one_node_are_not_folded() -> None:
    one = Incident(START_S, "gpu", "bad", "node-0 GPU 0", "GPU fails", gpu_uuid="GPU-0", node_id="id-0")
    assert fold([one] * MOST_ALIKE) == [one] * MOST_ALIKE
    assert len(fold([one] * (MOST_ALIKE + 1))) == 1


def test_a_value_counts_when_it_has_held_and_a_clock_set_back_does_not_hold_it_up() -> None:
    settling: Settling[str, bool] = Settling(lambda old, new: 5.0)
    assert settling.see("a", False, 100.0) is None
    assert settling.see("a", True, 101.0) is None
    assert settling.see("a", True, 50.0) is None
    change = settling.see("a", True, 55.0)
    assert change is not None and (change.new, change.since_s) == (True, 50.0)
    settling.keep(())
    assert settling.value("a") is None


def test_the_log_is_bounded_sorted_and_counts_what_nobody_has_seen() -> None:
    log = IncidentLog()
    log.add(Incident(float(number), "node", "info", "n", "joined") for number in range(3 * MOST_KEPT))
    log.add([Incident(START_S, "xid", "bad", "n", "Xid 79", at_start=True)])
    log.add([Incident(3.5 * MOST_KEPT, "node", "info", "n", "joined")])
    times = [one.at_s for one in log.incidents]
    assert times == sorted(times) and MOST_KEPT <= len(times) <= MOST_KEPT + 200
    assert log.num_dropped == 3 * MOST_KEPT + 2 - len(times)
    assert log.num_unseen == 3 * MOST_KEPT + 1
    log.mark_seen()
    assert log.num_unseen == 0
    log.forget_after(2.9 * MOST_KEPT)
    assert max(one.at_s for one in log.incidents) <= 2.9 * MOST_KEPT
