"""Which replica a request goes to, and what happens when it fails."""

from __future__ import annotations

import asyncio

import pytest

from cluster.deploy.router.handlers import REPLICA_HEADER
from tests.cluster.deploy.router.conftest import Clock, Serve, Served
from tests.cluster.deploy.router.echo import EchoReplica


async def held(served: Served, count: int) -> list[asyncio.Task[object]]:
    """Start requests that wait inside their replicas."""
    for replica in served.replicas:
        replica.gate.clear()
    tasks: list[asyncio.Task[object]] = []
    for _ in range(count):
        tasks.append(asyncio.create_task(served.complete()))
        while sum(replica.in_flight for replica in served.replicas) < len(tasks):
            await asyncio.sleep(0)
    return tasks


async def release(served: Served, tasks: list[asyncio.Task[object]]) -> None:
    for replica in served.replicas:
        replica.gate.set()
    await asyncio.gather(*tasks)


async def test_requests_go_to_the_replica_with_the_fewest_outstanding(serve: Serve) -> None:
    served = serve(EchoReplica("0"), EchoReplica("1"), EchoReplica("2"))
    tasks = await held(served, 7)
    assert sorted(replica.in_flight for replica in served.replicas) == [2, 2, 3]
    await release(served, tasks)
    assert [replica.in_flight for replica in served.replicas] == [0, 0, 0]


async def test_idle_replicas_take_turns(serve: Serve) -> None:
    served = serve(EchoReplica("0"), EchoReplica("1"))
    answered = [(await served.complete()).headers[REPLICA_HEADER] for _ in range(4)]
    assert answered == ["0", "1", "0", "1"]
    assert [served.balancer.counts(name).requests_total for name in "01"] == [2, 2]


async def test_requests_that_others_sent_to_a_replica_count_too(serve: Serve) -> None:
    busy = EchoReplica("0")
    busy.in_flight = 5
    served = serve(busy, EchoReplica("1"))
    assert {(await served.complete()).headers[REPLICA_HEADER] for _ in range(3)} == {"1"}


async def test_replicas_that_are_not_ready_get_nothing(serve: Serve) -> None:
    served = serve(EchoReplica("0"), EchoReplica("1"))
    served.replicas[0].ready = False
    assert {(await served.complete()).headers[REPLICA_HEADER] for _ in range(3)} == {"1"}


async def test_none_ready_is_503_with_the_reason(serve: Serve) -> None:
    served = serve(EchoReplica("0"), EchoReplica("1"))
    for replica in served.replicas:
        replica.ready = False
    answer = await served.complete()
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert "0 of 2 replicas are ready" in answer.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failure_before_the_first_token_moves_the_request(serve: Serve, stream: bool) -> None:
    served = serve(EchoReplica("0", fail_at=0), EchoReplica("1"))
    answer = await served.complete("abc", stream=stream)
    assert answer.status_code == 200
    assert answer.headers[REPLICA_HEADER] == "1"


async def test_a_failure_midway_moves_a_request_if_nothing_was_sent(serve: Serve) -> None:
    served = serve(EchoReplica("0", fail_at=2), EchoReplica("1"))
    answer = await served.complete("abcdef")
    assert answer.json()["choices"][0]["text"] == "abcdef"
    assert answer.headers[REPLICA_HEADER] == "1"


@pytest.mark.parametrize("stream", [False, True])
async def test_all_failing_is_503(serve: Serve, stream: bool) -> None:
    answer = await serve(EchoReplica("0", fail_at=0), EchoReplica("1", fail_at=0)).complete(stream=stream)
    assert answer.status_code == 503
    assert "every ready replica failed" in answer.json()["error"]["message"]


async def test_a_failed_replica_is_paused(serve: Serve, clock: Clock) -> None:
    served = serve(EchoReplica("0", fail_at=0), EchoReplica("1"))
    await served.complete()
    served.replicas[0].fail_at = None
    assert {(await served.complete()).headers[REPLICA_HEADER] for _ in range(3)} == {"1"}
    clock.now_s += 1.5
    assert "0" in {(await served.complete()).headers[REPLICA_HEADER] for _ in range(3)}


async def test_it_is_paused_for_longer_when_it_fails_again(serve: Serve, clock: Clock) -> None:
    served = serve(EchoReplica("0", fail_at=0), EchoReplica("1"))
    await served.complete()
    clock.now_s += 1.5
    await served.complete()
    assert served.replicas[0].requests_total == 2
    clock.now_s += 1.5
    await served.complete()
    assert served.replicas[0].requests_total == 2


async def test_a_paused_replica_is_used_if_there_is_no_other(serve: Serve) -> None:
    served = serve(EchoReplica("0", fail_at=0))
    assert (await served.complete()).status_code == 503
    served.replicas[0].fail_at = None
    assert (await served.complete()).status_code == 200


async def test_a_rejected_request_is_not_a_failure_of_the_replica(serve: Serve) -> None:
    served = serve(EchoReplica("0"))
    served.replicas[0].refuses = "this model takes no such prompt"
    answer = await served.complete()
    assert answer.status_code == 400
    assert "no such prompt" in answer.json()["error"]["message"]
    assert served.balancer.counts("0").failures_in_a_row == 0


async def test_a_full_deployment_says_429(serve: Serve) -> None:
    served = serve(EchoReplica("0"), EchoReplica("1"), max_in_flight_per_replica=2)
    tasks = await held(served, 4)
    answer = await served.complete()
    assert answer.status_code == 429
    assert answer.json()["error"]["type"] == "rate_limit_error"
    await release(served, tasks)
    assert (await served.complete()).status_code == 200


async def test_draining_refuses_new_requests_and_waits_for_running_ones(serve: Serve) -> None:
    served = serve(EchoReplica("0"))
    tasks = await held(served, 1)
    drained = asyncio.create_task(served.balancer.drain(deadline_s=10.0))
    await asyncio.sleep(0)
    answer = await served.complete()
    assert answer.status_code == 503
    assert "stopping" in answer.json()["error"]["message"]
    assert not drained.done()
    await release(served, tasks)
    assert await drained


async def test_draining_gives_up_at_its_deadline(serve: Serve, clock: Clock) -> None:
    served = serve(EchoReplica("0"))
    tasks = await held(served, 1)
    drained = asyncio.create_task(served.balancer.drain(deadline_s=10.0))
    await asyncio.sleep(0)
    clock.now_s += 11.0
    assert not await drained
    await release(served, tasks)
