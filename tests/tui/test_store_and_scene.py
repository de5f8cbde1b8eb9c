"""Events into snapshots, snapshots into what the map shows."""

from __future__ import annotations

from cluster.bridge.events import ClusterSeen, DeploymentsSeen, Progress, ReadingsSeen, TokenSeen
from cluster.inventory import GpuProcess
from cluster.planner.layout import Layout
from cluster.planner.result import Candidate
from cluster.telemetry import GpuReading, NodeReading
from cluster.units import GIB
from tests.tui.builders import NOW_S, make_cluster, make_deployment, make_plan, make_readings
from tui.cluster_now import current_cluster
from tui.history import LENGTH
from tui.messages import StoreChanged
from tui.scene import SceneBuilder
from tui.store import Store


def store_of(*events: object) -> Store:
    store = Store()
    for event in events:
        store.apply(event)  # type: ignore[arg-type]
    return store


def test_readings_of_some_nodes_leave_the_others_alone() -> None:
    cluster = make_cluster()
    everything = make_readings(cluster)
    only_second = ReadingsSeen(nodes=(everything.nodes[1].model_copy(update={"state": "lost"}),))
    snapshot = store_of(ClusterSeen(cluster=cluster), everything, only_second).snapshot
    assert [snapshot.readings[f"id-{number}"].state for number in range(2)] == ["ok", "lost"]


def test_progress_ends_when_the_cluster_is_there() -> None:
    store = store_of(Progress(message="joining", fraction=0.3))
    assert store.snapshot.progress is not None
    store.apply(ClusterSeen(cluster=make_cluster()))
    assert store.snapshot.progress is None


def test_change_messages_replace_one_another_and_tokens_are_never_lost() -> None:
    assert StoreChanged().can_replace(StoreChanged())
    store = store_of(*(TokenSeen(prompt_id="p", text=str(number)) for number in range(100)))
    assert [token.text for token in store.take_tokens()] == [str(number) for number in range(100)]
    assert store.take_tokens() == ()


def test_history_is_bounded_and_skips_missing_readings() -> None:
    cluster = make_cluster(1, 1)
    store = store_of(*(make_readings(cluster, busy=float(number)) for number in range(1, 200)))
    assert len(store.history("GPU-0-0")) == LENGTH
    assert store.history("GPU-0-0")[-1] == 199
    blank = ReadingsSeen(
        nodes=(NodeReading(node_id="id-0", taken_at_s=NOW_S, gpus=(GpuReading(uuid="GPU-0-0"),)),)
    )
    store.apply(blank)
    assert store.history("GPU-0-0")[-1] == 199


def test_the_planner_uses_current_free_memory() -> None:
    cluster = make_cluster()
    snapshot = store_of(ClusterSeen(cluster=cluster), make_readings(cluster, used=30 * GIB)).snapshot
    current = current_cluster(snapshot)
    assert current is not None
    gpu = current.nodes[0].gpus[0]
    assert gpu.memory_free_bytes == (gpu.memory_total_bytes or 0) - 30 * GIB


def test_a_process_that_ended_is_not_kept_until_the_next_inventory() -> None:
    cluster = make_cluster()
    node = cluster.nodes[0]
    held = node.gpus[0].model_copy(update={"processes": (GpuProcess(pid=7),)})
    node = node.model_copy(update={"gpus": (held, *node.gpus[1:])})
    cluster = cluster.model_copy(update={"nodes": (node, *cluster.nodes[1:])})

    def processes(**reading: object) -> tuple[GpuProcess, ...]:
        seen = GpuReading.model_validate({"uuid": held.uuid, **reading})
        readings = ReadingsSeen(nodes=(NodeReading(node_id=node.node_id, taken_at_s=NOW_S, gpus=(seen,)),))
        current = current_cluster(store_of(ClusterSeen(cluster=cluster), readings).snapshot)
        assert current is not None
        return current.nodes[0].gpus[0].processes

    assert processes() == ()
    assert processes(absent={"processes": "not supported by this GPU"}) == (GpuProcess(pid=7),)


def test_gpus_of_a_silent_node_are_not_used_for_planning() -> None:
    cluster = make_cluster()
    dead = ReadingsSeen(
        nodes=(NodeReading(node_id="id-1", taken_at_s=NOW_S, state="hung", reason="NVML does not return"),)
    )
    current = current_cluster(store_of(ClusterSeen(cluster=cluster), make_readings(cluster), dead).snapshot)
    assert current is not None
    assert all(gpu.healthy for gpu in current.nodes[0].gpus)
    reasons = {gpu.unhealthy_reason for gpu in current.nodes[1].gpus}
    assert reasons == {"node-1 is hung: NVML does not return"}


def test_old_readings_are_stale_by_their_age_alone() -> None:
    cluster = make_cluster()
    snapshot = store_of(ClusterSeen(cluster=cluster), make_readings(cluster, age_s=60)).snapshot
    scene = SceneBuilder().scene(snapshot, None, NOW_S)
    assert scene is not None
    health = scene.health(cluster.nodes[0])
    assert (health.word, round(health.age_s or 0)) == ("stale", 60)


def test_a_lost_node_shows_no_old_figures() -> None:
    cluster = make_cluster()
    lost = tuple(reading.model_copy(update={"state": "lost"}) for reading in make_readings(cluster).nodes)
    snapshot = store_of(ClusterSeen(cluster=cluster), ReadingsSeen(nodes=lost)).snapshot
    scene = SceneBuilder().scene(snapshot, None, NOW_S)
    assert scene is not None
    view = scene.gpu_view(cluster.nodes[0], cluster.nodes[0].gpus[0])
    assert view.utilization_percent is None
    assert view.temperature_c is None


def test_planned_memory_is_of_the_gpus_own_stage() -> None:
    cluster = make_cluster()
    plan = make_plan(cluster)
    candidate: Candidate = plan.candidates[1]
    assert candidate.layout == Layout(tp=2, pp=2, dp=2)
    first, second = candidate.memory_per_gpu, plan.candidates[3].memory_per_gpu
    assert first is not None and second is not None
    from dataclasses import replace

    smaller = replace(second, total_bytes=10 * GIB)
    by_stage = replace(candidate, memory_by_stage=(first, smaller))
    scene = SceneBuilder().scene(store_of(ClusterSeen(cluster=cluster)).snapshot, by_stage, NOW_S)
    assert scene is not None
    planned = [scene.planned[f"GPU-0-{index}"].planned_bytes for index in range(4)]
    assert planned == [first.total_bytes] * 2 + [10 * GIB] * 2


def test_running_roles_override_planned_ones_and_memory_counts_once() -> None:
    cluster = make_cluster()
    status = make_deployment(cluster, serving=True)
    snapshot = store_of(
        ClusterSeen(cluster=cluster),
        make_readings(cluster, used=int(40 * GIB)),
        DeploymentsSeen(deployments=(status,)),
    ).snapshot
    scene = SceneBuilder().scene(snapshot, make_plan(cluster).candidates[0], NOW_S)
    assert scene is not None
    view = scene.gpu_view(cluster.nodes[0], cluster.nodes[0].gpus[0])
    assert view.role is not None and view.role.live
    assert view.planned_bytes == int(71.3 * GIB) - int(40 * GIB)


def test_a_gpu_shows_the_newest_reading_of_its_node() -> None:
    cluster = make_cluster()
    store, builder = store_of(ClusterSeen(cluster=cluster)), SceneBuilder()
    node, gpu = cluster.nodes[1], cluster.nodes[1].gpus[3]
    for used in (10 * GIB, 20 * GIB):
        store.apply(make_readings(cluster, used=used))
        scene = builder.scene(store.snapshot, None, NOW_S)
        assert scene is not None and scene.gpu_view(node, gpu).used_bytes == used
    unknown = gpu.model_copy(update={"uuid": "GPU-elsewhere"})
    assert scene.gpu_view(node, unknown).utilization_percent is None


def test_layouts_placed_ahead_are_drawn_from_what_was_prepared_and_few_are_kept() -> None:
    cluster = make_cluster()
    snapshot, builder = store_of(ClusterSeen(cluster=cluster)).snapshot, SceneBuilder()
    candidates = [item for _ in range(3) for item in make_plan(cluster).candidates[:4]]
    ahead = builder.prepare(candidates[0])
    scene = builder.scene(snapshot, candidates[0], NOW_S)
    assert scene is not None and scene.planned is ahead
    assert [ahead[f"GPU-1-{index}"].name for index in range(4)] == [f"R1·T{rank}" for rank in range(4)]
    for candidate in candidates:
        builder.prepare(candidate)
    assert builder.is_prepared(candidates[-1])
    assert not builder.is_prepared(candidates[0])
