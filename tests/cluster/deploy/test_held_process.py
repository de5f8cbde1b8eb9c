"""Which processes a replica has, and the lines kept of a server that failed."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.deploy.claims import Slot
from cluster.deploy.engine_in_use import EngineInUse
from cluster.deploy.held_process import HeldProcess, processes_of
from cluster.deploy.rank_report import RankReport, RankStep
from cluster.deploy.spec import DeploymentSpec, ModelSource, RankPlace, ServerPlan
from cluster.engines.launch import ServerLaunch
from cluster.planner.layout import Layout

SERVER = ServerPlan(launch=ServerLaunch(model="/m", served_name="m", tp=4))


class Ray:
    """Stands in for Ray: it only ends actors."""

    def __init__(self) -> None:
        self.killed: list[Any] = []

    def kill(self, actor: Any, *, no_restart: bool) -> None:
        assert no_restart
        self.killed.append(actor)


def place(rank: int, node: str, index: int) -> RankPlace:
    return RankPlace(
        replica=1,
        stage=0,
        rank=rank,
        node_id=node,
        node_name=node,
        gpu_index=index,
        gpu_uuid=f"{node}{index}",
    )


def processes(server: ServerPlan | None) -> list[HeldProcess]:
    # Not in rank order, and with another replica's rank in between.
    ranks = (place(3, "b", 1), place(0, "a", 5), place(1, "a", 2), place(2, "b", 0))
    other = place(0, "a", 0).model_copy(update={"replica": 0})
    spec = DeploymentSpec(
        name="d",
        model=ModelSource(name="m", config={}),
        layout=Layout(tp=4, dp=2),
        ranks=(*ranks[:2], other, *ranks[2:]),
        engine=EngineInUse(name="vllm", version="0.32.0", planned_for="vllm 0.32.0"),
        server=server,
    )
    return processes_of(Ray(), spec, 1, "ray::NodeAgent")


def gpus(process: HeldProcess) -> list[tuple[str, int]]:
    return [(place.node_id, place.gpu_index) for place in process.places]


def test_a_rank_is_a_process_of_its_own() -> None:
    found = processes(None)
    assert [process.name for process in found] == ["rank 0", "rank 1", "rank 2", "rank 3"]
    assert [gpus(process) for process in found] == [[("a", 5)], [("a", 2)], [("b", 0)], [("b", 1)]]


def test_a_server_has_one_process_per_node() -> None:
    found = processes(SERVER)
    assert [process.name for process in found] == ["server on a", "server on b"]
    assert [gpus(process) for process in found] == [[("a", 5), ("a", 2)], [("b", 0), ("b", 1)]]


def test_only_one_actor_per_node_stays() -> None:
    ray, (process, _) = Ray(), processes(SERVER)
    assert process.actor is None
    slots = {index: Slot(group=f"group {index}", actor=f"actor {index}") for index in (0, 2, 5)}
    process.take(ray, slots)
    assert (process.actor, ray.killed) == ("actor 5", ["actor 2"])
    assert [(slot.group, slot.actor) for slot in process.slots] == [("group 5", "actor 5"), ("group 2", None)]
    # Another replica's GPU on the same node is left alone.
    assert slots[0].actor == "actor 0"


@pytest.mark.parametrize(
    ("first", "most", "page"),
    [
        (-2, 10, (42, ("c", "d"))),
        (-9, 2, (40, ("a", "b"))),
        (0, 10, (40, ("a", "b", "c", "d"))),
        (41, 2, (41, ("b", "c"))),
        (44, 10, (44, ())),
    ],
)
def test_lines_of_a_failed_server_keep_their_numbers(
    first: int, most: int, page: tuple[int, tuple[str, ...]]
) -> None:
    (process, _) = processes(SERVER)
    process.hear(RankReport(RankStep.FAILED, log_tail=("a", "b", "c", "d"), log_first=40))
    process.hear(RankReport(RankStep.STARTING))
    assert process.last_page(first, most) == page
