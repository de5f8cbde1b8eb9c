"""Lines between a session and its child: what goes in comes out, failures keep their kind."""

from __future__ import annotations

import pytest

from cluster.bridge.driver.other_jobs import FOREIGN, ForeignClaims
from cluster.bridge.driver.simulated_loads import loads_of
from cluster.bridge.events import ClusterSeen, Progress, SessionLost, TokenSeen
from cluster.bridge.inventory_diff import is_worth_sending
from cluster.bridge.keeper.embedded import canonical_spec
from cluster.bridge.open_session import open_session
from cluster.bridge.protocol import (
    ANSWER,
    ORDER,
    DeployOrder,
    DescribeOrder,
    DismissOrder,
    LogsOrder,
    PromptOrder,
    Reply,
    StopOrder,
    to_error,
    to_failure,
)
from cluster.bridge.wire import encode
from cluster.cluster_spec import parse_cluster_spec
from cluster.deploy.log_page import LogPage
from cluster.deploy.status import DeploymentState, DeploymentStatus, RankState, RankStatus, ReplicaStatus
from cluster.errors import BadInput, ClusterviewError, DeployFailed, UnknownName, Unreachable
from tests.ray.support import order

CLUSTER = parse_cluster_spec("2x4xA100-80GB,1x8xL4", "simulated")


@pytest.mark.parametrize(
    "message",
    [
        DeployOrder(order_id=1, spec=order(CLUSTER, "n", [[(0, 0), (0, 1)]])),
        StopOrder(order_id=2, name="line\nbreak"),
        PromptOrder(order_id=3, name="n", prompt_id="p", text='"{\n\x1b', max_tokens=4),
        DescribeOrder(order_id=5, name="n"),
        DismissOrder(order_id=6, node_id="n"),
        LogsOrder(order_id=4, name="n", replica=1, member=2, first=-20, most=100),
    ],
)
def test_orders_survive_the_pipe(
    message: DeployOrder | StopOrder | PromptOrder | LogsOrder | DescribeOrder | DismissOrder,
) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1 and ORDER.validate_json(line) == message


@pytest.mark.parametrize(
    "message",
    [
        Reply(order_id=1),
        Reply(order_id=2, result=LogPage(replica=0, first=7, lines=("a", "", "é\u2028"), start=2)),
        Reply(order_id=3, result=order(CLUSTER, "n", [[(0, 0), (0, 1)]])),
        Progress(message="m", fraction=0.5),
        ClusterSeen(cluster=CLUSTER),
        TokenSeen(prompt_id="p", text="é\u2028x"),
        SessionLost(reason="r"),
    ],
)
def test_answers_survive_the_pipe(message: Reply | Progress | ClusterSeen | TokenSeen | SessionLost) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1 and ANSWER.validate_json(line) == message


@pytest.mark.parametrize("kind", [BadInput, UnknownName, Unreachable, DeployFailed])
def test_failures_keep_kind_message_and_hint(kind: type[ClusterviewError]) -> None:
    error = to_error(to_failure(kind("what", "how")))
    assert type(error) is kind and (error.message, error.hint) == ("what", "how")


def test_a_foreign_exception_is_told_by_its_first_line() -> None:
    error = to_error(to_failure(ValueError("first\nsecond")))
    assert isinstance(error, Unreachable) and error.message == "ValueError: first"


def test_specs_of_the_same_cluster_have_one_spelling() -> None:
    for text in ("2x4xA100-80GB", " 2X4xa100-80gb", "1x4xA100-80GB,4xA100-80GB"):
        assert canonical_spec(parse_cluster_spec(text, "simulated")) == "2x4xA100-80GB"
    assert canonical_spec(CLUSTER) == "2x4xA100-80GB,1x8xL4"


def test_sessions_that_cannot_be_are_refused_before_anything_starts() -> None:
    with pytest.raises(BadInput, match="too many to simulate"):
        open_session(address=None, simulate="17x8xH100")
    with pytest.raises(BadInput, match="exclude each other"):
        open_session(address="h:1", simulate="8xH100")
    with pytest.raises(BadInput, match="position"):
        open_session(address=None, simulate="2y4")
    assert open_session(address=None, simulate="2X4xa100-80gb").title == "simulated 2x4xA100-80GB"


def test_an_inventory_is_told_again_only_for_a_reason() -> None:
    assert is_worth_sending(None, CLUSTER)
    assert not is_worth_sending(CLUSTER, CLUSTER.model_copy(update={"taken_at_s": 5.0}))
    node = CLUSTER.nodes[0]
    total = node.gpus[0].memory_total_bytes or 0
    for changes, told in [
        ({"memory_free_bytes": total - total // 1000}, False),
        ({"memory_free_bytes": total // 2}, True),
        ({"memory_free_bytes": None}, True),
        ({"claimed_by": "d"}, True),
    ]:
        gpus = (node.gpus[0].model_copy(update=changes), *node.gpus[1:])
        nodes = (node.model_copy(update={"gpus": gpus}), *CLUSTER.nodes[1:])
        assert is_worth_sending(CLUSTER, CLUSTER.model_copy(update={"nodes": nodes})) is told
    assert is_worth_sending(CLUSTER, CLUSTER.model_copy(update={"nodes": CLUSTER.nodes[:1]}))


def test_gpus_of_other_jobs_are_known_once_ray_has_said_so_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now_s)
    claims, node = ForeignClaims(), CLUSTER.nodes[0]
    ours = {node.gpus[0].uuid: "d"}
    assert claims.add([node], ours, {node.node_id: 0}) == ours
    now_s += 6
    found = claims.add([node], ours, {node.node_id: 0})
    assert found == {**dict.fromkeys((gpu.uuid for gpu in node.gpus), FOREIGN), **ours}
    # Which ones are taken is not known while some are free.
    assert claims.add([node], ours, {node.node_id: 1}) == ours
    assert claims.add([node], ours, {node.node_id: 0}) == ours
    assert claims.add([node], ours, {}) == ours


def rank(index: int, state: RankState, progress: float | None = None) -> RankStatus:
    return RankStatus(
        replica=0,
        stage=0,
        rank=index,
        node_id="n",
        node_name="n",
        gpu_index=index,
        gpu_uuid=f"g{index}",
        state=state,
        progress=progress,
    )


def test_simulated_memory_fills_while_a_rank_loads_and_use_follows_requests() -> None:
    states = [
        (RankState.PLACING, None),
        (RankState.LOADING, 0.5),
        (RankState.READY, None),
        (RankState.FAILED, None),
    ]
    ranks = tuple(rank(index, state, progress) for index, (state, progress) in enumerate(states))
    status = DeploymentStatus(
        name="d",
        model="m",
        label="l",
        state=DeploymentState.READY,
        ranks=ranks,
        replicas=(ReplicaStatus(replica=0, ready=True, in_flight=16),),
        planned_bytes_by_gpu={f"g{index}": 100 for index in range(4)},
    )
    loads = loads_of([status])["n"]
    assert [(load[0], load[1], load[2], load[4]) for load in loads] == [
        (0, 100, 0.0, "d"),
        (1, 100, 0.5, "d"),
        (2, 100, 1.0, "d"),
        (3, 100, 0.0, "d"),
    ]
    assert all(load[3] == 1.0 for load in loads)
    idle = status.model_copy(update={"replicas": (ReplicaStatus(replica=0, ready=True),)})
    assert all(load[3] == 0.0 for load in loads_of([idle])["n"])
