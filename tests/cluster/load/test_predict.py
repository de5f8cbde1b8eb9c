"""The prediction for a mix: a plan of the layout that runs, on the GPUs that it holds."""

from __future__ import annotations

import pytest

from cluster.catalog.models import load_model
from cluster.cluster_spec import parse_cluster_spec
from cluster.deploy.engine_in_use import EngineInUse
from cluster.deploy.predicted import Predicted
from cluster.deploy.status import DeploymentState, DeploymentStatus, RankState, RankStatus
from cluster.engines.launch import ServerLaunch
from cluster.inventory import Cluster
from cluster.load.figures import spread_of
from cluster.load.mix import LoadMix
from cluster.load.predict import Served, from_plan, predict
from cluster.load.result import LoadResult
from cluster.planner.layout import Layout
from cluster.planner.plan import plan
from cluster.planner.request import PlanRequest
from cluster.planner.result import Band

MODEL = load_model("llama-3.1-8b", None, None)
ENGINE = EngineInUse(name="vllm", version="0.14.0", planned_for="vllm 0.14.0")
MIX = LoadMix(num_prompts=400, max_concurrency=4, random_input_len=1000, random_output_len=100)


def served(num_gpus: int = 4, launch: ServerLaunch | None = None) -> Served:
    """A TP=2 deployment on the last two GPUs of a node, whose memory it fills."""
    (node,) = parse_cluster_spec(f"{num_gpus}xL4").nodes
    held = {gpu.uuid for gpu in node.gpus[-2:]}
    gpus = tuple(
        gpu.model_copy(update={"claimed_by": "d", "memory_free_bytes": 2**30}) if gpu.uuid in held else gpu
        for gpu in node.gpus
    )
    ranks = tuple(
        RankStatus(
            replica=0,
            stage=0,
            rank=rank,
            node_id=node.node_id,
            node_name=node.name,
            gpu_index=gpu.index,
            gpu_uuid=gpu.uuid,
            state=RankState.READY,
        )
        for rank, gpu in enumerate(node.gpus[-2:])
    )
    status = DeploymentStatus(
        name="d",
        model=MODEL.name,
        label="TP=2",
        layout=Layout(tp=2),
        state=DeploymentState.READY,
        ranks=ranks,
        engine=ENGINE,
    )
    return Served(
        status, Cluster(source="ray", nodes=(node.model_copy(update={"gpus": gpus}),)), MODEL, launch
    )


def test_a_closed_loop_is_planned_at_its_concurrency() -> None:
    found = predict(served(), MIX)
    request = PlanRequest(
        tp=2, dp=1, input_tokens=1000, output_tokens=100, concurrency=4, engine_version="0.14.0"
    )
    expected = plan(parse_cluster_spec("2xL4"), MODEL, request).recommended
    assert found is not None and expected is not None and expected.estimate is not None
    assert found.ttft_s == expected.estimate.ttft_s and found.tpot_s == expected.estimate.tpot_s
    assert found.throughput_tokens_per_s == expected.estimate.throughput_tokens_per_s
    assert (found.concurrency, found.engine, found.overloaded) == (4, "vllm 0.14.0", False)


def test_fewer_requests_than_the_concurrency_are_all_in_flight() -> None:
    found = predict(served(), MIX.model_copy(update={"num_prompts": 3}))
    assert found is not None and found.concurrency == 3


def test_an_open_loop_has_the_requests_in_flight_that_its_rate_leads_to() -> None:
    found = predict(served(), MIX.model_copy(update={"request_rate": 0.5, "max_concurrency": None}))
    assert found is not None and found.e2e_s is not None and found.concurrency is not None
    # Little's law, up to whole requests.
    assert found.concurrency == pytest.approx(0.5 * found.e2e_s, abs=0.6)
    assert found.throughput_tokens_per_s == Band(50.0, 50.0, 50.0) and not found.overloaded


def test_a_rate_beyond_the_capacity_says_so() -> None:
    found = predict(served(), MIX.model_copy(update={"request_rate": 1000.0}))
    assert found is not None and found.overloaded and found.throughput_tokens_per_s is not None
    assert found.throughput_tokens_per_s.value < 100_000


def test_it_is_planned_with_what_the_servers_were_started_with() -> None:
    launch = ServerLaunch(model="m", served_name="m", max_num_seqs=1, max_model_len=4096)
    usual, queued = predict(served(), MIX), predict(served(launch=launch), MIX)
    assert usual and queued and usual.ttft_s and queued.ttft_s
    assert queued.ttft_s.value > 2 * usual.ttft_s.value, "three of four requests wait"


def test_the_plan_of_the_deployment_stands_in_with_its_own_lengths() -> None:
    status = served().status
    assert from_plan(status) is None
    planned = Predicted(ttft_s=Band(1.0, 0.5, 2.0), input_tokens=7, output_tokens=8, concurrency=9)
    found = from_plan(status.model_copy(update={"predicted": planned}))
    assert found is not None and found.basis == "plan of the deployment"
    assert (found.input_tokens, found.output_tokens, found.concurrency) == (7, 8, 9)


def test_the_error_is_measured_over_predicted() -> None:
    result = LoadResult(
        name="d",
        model="m",
        endpoint="http://x",
        began_at_s=0,
        duration_s=1,
        mix=MIX,
        requests_done=1,
        output_tokens_per_s=110.0,
        ttft_s=spread_of([0.5]),
        predicted=predict(served(), MIX),
    )
    assert result.predicted is not None and result.predicted.throughput_tokens_per_s is not None
    assert result.error_of("throughput") == pytest.approx(
        110.0 / result.predicted.throughput_tokens_per_s.value - 1
    )
    assert result.error_of("tpot") is None, "nothing was measured"
    assert result.model_copy(update={"simulated": True}).error_of("ttft") is None
    assert LoadResult.model_validate_json(result.model_dump_json()) == result
