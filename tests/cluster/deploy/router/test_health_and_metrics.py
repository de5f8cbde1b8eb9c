"""The health check generates a real token, and metrics count what happened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from prometheus_client.parser import text_string_to_metric_families

from tests.cluster.deploy.router.conftest import MODEL, Serve, Served
from tests.cluster.deploy.router.echo import EchoReplica

Sample = Callable[..., float | None]


async def metrics(served: Served) -> Sample:
    text = (await served.client.get("/metrics")).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def value(name: str, **labels: str) -> float | None:
        found = [s.value for s in samples if s.name == f"clusterview_{name}" and s.labels == labels]
        return found[0] if found else None

    return value


async def test_healthy_when_every_ready_replica_makes_a_token(serve: Serve) -> None:
    answer = await serve(EchoReplica("0"), EchoReplica("1")).client.get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    assert [entry["healthy"] for entry in answer.json()["replicas"]] == [True, True]


async def test_one_unhealthy_replica_is_503_with_its_reason_and_paused(serve: Serve) -> None:
    served = serve(EchoReplica("0"), EchoReplica("1"))
    served.replicas[0].health_error = "rank 3 does not answer"
    answer = await served.client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["replica 0: rank 3 does not answer"]
    await served.complete()
    assert [replica.requests_total for replica in served.replicas] == [0, 1]


async def test_a_silent_replica_is_unhealthy_at_the_deadline(serve: Serve) -> None:
    served = serve(EchoReplica("0"), health_deadline_s=0.05)
    served.replicas[0].gate.clear()
    answer = await served.client.get("/health")
    assert answer.status_code == 503
    assert "no token within 0.05 s" in answer.json()["reasons"][0]


async def test_a_starting_replica_does_not_make_the_deployment_unhealthy(serve: Serve) -> None:
    served = serve(EchoReplica("0"), EchoReplica("1"))
    served.replicas[1].ready = False
    answer = await served.client.get("/health")
    assert answer.status_code == 200
    assert answer.json()["replicas"][1]["reason"] == "ranks are loading, ready"


async def test_no_ready_replica_is_503(serve: Serve) -> None:
    served = serve(EchoReplica("0"))
    served.replicas[0].ready = False
    assert (await served.client.get("/health")).status_code == 503


async def test_callers_at_the_same_time_share_one_check(serve: Serve) -> None:
    served = serve(EchoReplica("0"))
    asked = 0
    check = served.replicas[0].health

    async def counted(deadline_s: float) -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        await check(deadline_s)

    served.replicas[0].health = counted  # type: ignore[method-assign]
    answers = await asyncio.gather(*(served.client.get("/health") for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    assert asked == 1


async def test_metrics_count_by_replica(serve: Serve) -> None:
    served = serve(EchoReplica("0"), EchoReplica("1"))
    for _ in range(3):
        await served.complete("abc")
    value = await metrics(served)
    assert [value("requests_total", replica=name) for name in "01"] == [2.0, 1.0]
    assert value("prompt_tokens_total", replica="0") == 6.0
    assert value("output_tokens_total", replica="0") == 8.0
    assert value("time_to_first_token_seconds_count", replica="0") == 2.0
    assert value("inter_token_latency_seconds_count", replica="0") == 6.0
    assert value("responses_total", status="200") == 3.0


async def test_metrics_show_the_replicas_as_they_are(serve: Serve) -> None:
    served = serve(EchoReplica("0"), EchoReplica("1"))
    served.replicas[1].ready = False
    value = await metrics(served)
    assert [value("replica_ready", replica=name) for name in "01"] == [1.0, 0.0]
    assert value("all_reduce_share", replica="0") == 0.25
    assert value("all_reduces_per_token", replica="0") == 4.0
    assert value("ranks", replica="0", state="ready") == 2.0
    assert value("ranks", replica="1", state="loading") == 1.0
    served.replicas[1].ready = True
    assert (await metrics(served))("ranks", replica="1", state="loading") is None


async def test_metrics_count_failures_and_errors(serve: Serve) -> None:
    served = serve(EchoReplica("0", fail_at=0))
    await served.complete()
    await served.complete(max_tokens=0)
    value = await metrics(served)
    assert value("replica_failures_total", replica="0") == 1.0
    assert value("responses_total", status="503") == 1.0
    assert value("responses_total", status="400") == 1.0


async def test_latencies_are_measured_by_the_clock(serve: Serve, clock) -> None:  # type: ignore[no-untyped-def]
    served = serve(EchoReplica("0"))
    served.replicas[0].gate.clear()
    asked = asyncio.create_task(served.complete("a"))
    while not served.replicas[0].in_flight:
        await asyncio.sleep(0)
    clock.now_s += 2.0
    served.replicas[0].gate.set()
    await asked
    assert (await metrics(served))("time_to_first_token_seconds_sum", replica="0") == 2.0


async def test_metrics_of_the_built_in_engine_have_vllms_names_too(serve: Serve) -> None:
    served = serve(EchoReplica("0"))
    await served.complete("abc")
    text = (await served.client.get("/metrics")).text
    for line in (
        f'vllm:prompt_tokens_total{{model_name="{MODEL}",replica="0"}} 3.0',
        f'vllm:generation_tokens_total{{model_name="{MODEL}",replica="0"}} 4.0',
        f'vllm:request_success_total{{finished_reason="stop",model_name="{MODEL}",replica="0"}} 1.0',
        f'vllm:time_to_first_token_seconds_count{{model_name="{MODEL}",replica="0"}} 1.0',
    ):
        assert line in text, text
    assert "vllm:kv_cache_usage_perc{" not in text, "what an engine does not say is left out"
