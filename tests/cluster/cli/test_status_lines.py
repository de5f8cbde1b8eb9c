"""What `status` prints of a deployment: metrics, predicted beside measured, the last log lines."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from cluster.bridge.events import DeploymentsSeen
from cluster.bridge.session import Listener
from cluster.cli import status as status_verb
from cluster.cli.arguments import parse_arguments
from cluster.cli.faults import guarded
from cluster.cli.last_log import print_last_log
from cluster.cli.progress_lines import progress_line
from cluster.cli.status_lines import status_lines
from cluster.deploy.engine_in_use import EngineInUse
from cluster.deploy.predicted import Predicted
from cluster.deploy.status import (
    DeploymentState,
    DeploymentStatus,
    Measured,
    RankState,
    RankStatus,
    ReplicaStatus,
)
from cluster.planner.result import Band
from cluster.units import GIB
from tests.tui.builders import make_cluster
from tests.tui.servers import failed_server, serving_server, starting_server

RANK = RankStatus(
    replica=0,
    stage=0,
    rank=0,
    node_id="n",
    node_name="gpu-a",
    gpu_index=3,
    gpu_uuid="GPU-0",
    state=RankState.READY,
)
SERVING = DeploymentStatus(
    name="llama",
    model="meta-llama/Llama-3.1-8B",
    label="TP=1",
    state=DeploymentState.READY,
    ranks=(RANK,),
    engine=EngineInUse(name="vllm", version="0.32.0", planned_for="vllm 0.32.0"),
    replicas=(
        ReplicaStatus(
            replica=0,
            ready=True,
            in_flight=4,
            running=3,
            waiting=1,
            kv_cache_use=0.414,
            prefix_hit_rate=0.25,
            proven_age_s=2.0,
        ),
    ),
    predicted=Predicted(
        weights_bytes=16 * GIB,
        kv_cache_tokens=100_000,
        throughput_tokens_per_s=Band(1000, 800, 1200),
        ttft_s=Band(0.2, 0.1, 0.3),
        concurrency=4,
    ),
    measured=Measured(
        weights_bytes=15 * GIB,
        throughput_tokens_per_s=1300,
        absent={
            "kv_cache_tokens": "the engine did not log it",
            "ttft_s": "no request of a user was answered",
        },
    ),
)


def text(status: DeploymentStatus) -> str:
    return "\n".join(status_lines("here", status))


def line(of: str, start: str) -> str:
    return next(one for one in of.splitlines() if one.strip().startswith(start))


def test_engine_metrics_stand_below_their_replica() -> None:
    shown = line(text(SERVING), "engine:")
    assert shown.strip() == (
        "engine: 3 running, 1 waiting, KV cache 41% used, 25% prefix cache hits, last token 2 s ago"
    )


def test_an_engine_without_metrics_has_no_such_line() -> None:
    bare = SERVING.model_copy(update={"replicas": (ReplicaStatus(replica=0, ready=True),)})
    assert "engine:" not in text(bare)


def test_predicted_stands_beside_measured_with_its_error() -> None:
    shown = text(SERVING)
    assert line(shown, "weights").split() == ["weights", "16.0", "GiB", "15.0", "GiB", "-6.2%"]
    assert line(shown, "throughput").endswith("1,300 tok/s  +30%  outside the range")
    assert "(800–1,200)" in line(shown, "throughput")


def test_what_is_not_measured_is_one_line_a_reason() -> None:
    shown = text(SERVING)
    assert "not measured: KV tokens: the engine did not log it" in shown
    assert "not measured: TTFT: no request of a user was answered" in shown


def failed(ready: bool = False) -> DeploymentStatus:
    replica = ReplicaStatus(
        replica=1, ready=ready, last_log=("Loading weights", "\x1b[31mRuntimeError: CUDA out of memory")
    )
    return SERVING.model_copy(update={"state": DeploymentState.FAILED, "replicas": (replica,)})


def test_the_last_lines_stand_in_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    shown = text(failed())
    assert "replica 1, last lines of its log:" in shown
    assert shown.endswith("    Loading weights\n    [31mRuntimeError: CUDA out of memory")
    print_last_log(failed())
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.endswith("  [31mRuntimeError: CUDA out of memory\n")


def test_a_replica_that_serves_again_does_not_show_its_old_failure() -> None:
    assert "last lines" not in text(failed(ready=True))
    print_last_log(None)


class OneSession:
    """A cluster with one deployment."""

    title = "here"
    can_deploy = True

    def __init__(self, status: DeploymentStatus) -> None:
        self._status = status

    def start(self, listener: Listener) -> None:
        listener(DeploymentsSeen(deployments=(self._status,)))

    def close(self) -> None:
        return


def test_json_has_errors_beside_predicted_and_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(status_verb, "running_sessions", lambda _: [(None, OneSession(SERVING))])
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert guarded(lambda: status_verb.run(parse_arguments(["status", "--json"]))) == 0
    (found,) = json.loads(capsys.readouterr().out)["deployments"]
    assert found["predicted"]["weights_bytes"] == 16 * GIB
    assert found["measured"]["weights_bytes"] == 15 * GIB
    assert found["error"] == {
        "weights_bytes": pytest.approx(-0.0625),
        "throughput_tokens_per_s": pytest.approx(0.3),
    }
    assert found["outside_band"] == ["throughput_tokens_per_s"]
    assert found["measured"]["absent"]["ttft_s"]
    assert_json_numbers(found)


def assert_json_numbers(value: Any) -> None:
    """No NaN or infinity, which JSON does not have."""
    json.dumps(value, allow_nan=False)


def test_progress_of_servers_is_in_the_words_of_their_logs() -> None:
    cluster = make_cluster(simulated=False)
    assert progress_line(starting_server(cluster)).endswith(
        "is starting (1 capturing CUDA graphs 70%, 1 loading weights 40%)"
    )
    assert progress_line(serving_server(cluster)).endswith("is ready (2 ready)")
    assert progress_line(failed_server(cluster)).endswith("(2 failed)")
