"""A failure of one rank ends the whole group: no rank and no caller waits for the timeout."""

from __future__ import annotations

import threading

import pytest

from cluster.errors import BadInput, DeployFailed
from cluster.runtime.generation import GenerationRequest
from cluster.runtime.rank_worker import RankWorker
from cluster.runtime.rendezvous import find_free_port, parse_init_method
from tests.cluster.runtime.conftest import PROMPT, CheckpointShelf
from tests.cluster.runtime.ranks import Job, RankPool


@pytest.mark.parametrize("failing_rank", [0, 1])
def test_one_failing_rank_ends_the_group(shelf: CheckpointShelf, pool: RankPool, failing_rank: int) -> None:
    """The group's timeout is far longer than the pool's."""
    job = Job(
        shelf.get("llama").source,
        tp=2,
        requests=(GenerationRequest(PROMPT, max_tokens=5),),
        failing_rank=failing_rank,
        group_timeout_s=600,
    )
    results = pool.run(job)
    assert "told to fail" in results[failing_rank].error
    assert results[1 - failing_rank].error
    assert results[0].failures
    assert "failed" in results[0].failures[0]
    again = pool.run(Job(shelf.get("llama").source, tp=2))
    assert [result.error for result in again] == ["", ""]


def test_a_rank_that_fails_in_the_warm_up_ends_the_group(shelf: CheckpointShelf, pool: RankPool) -> None:
    job = Job(shelf.get("llama").source, tp=3, failing_rank=1, fails_at="warm-up", group_timeout_s=600)
    results = pool.run(job)
    assert "told to fail" in results[1].error
    assert all(result.error for result in results)


def test_an_idle_group_outlives_its_timeout(shelf: CheckpointShelf, pool: RankPool) -> None:
    """Followers wait for step plans in a collective with a timeout of 1 s; heartbeats keep it alive."""
    request = GenerationRequest(PROMPT, max_tokens=5)
    job = Job(shelf.get("llama").source, tp=2, requests=(request,), group_timeout_s=1, idle_s=2.5)
    results = pool.run(job)
    assert [result.error for result in results] == ["", ""]
    assert len(results[0].tokens[0]) == 5


def test_a_rank_that_never_joins_is_an_error_with_the_address(shelf: CheckpointShelf) -> None:
    host, port = find_free_port()
    engine = make_engine(shelf, tp=2)
    with pytest.raises(DeployFailed, match=f"Rank 0 of 2 could not join tcp://{host}:{port}"):
        engine.join(f"tcp://{host}:{port}", timeout_s=1)


@pytest.mark.parametrize("text", ["", "tcp://", "127.0.0.1:80", "tcp://host", "tcp://host:port"])
def test_a_malformed_rendezvous_is_bad_input(text: str) -> None:
    with pytest.raises(BadInput):
        parse_init_method(text)


def test_requests_after_the_end_are_refused(shelf: CheckpointShelf) -> None:
    engine = make_engine(shelf, tp=1)
    engine.join("", timeout_s=5)
    engine.load(lambda fraction: None)
    engine.stop()
    engine.run()
    with pytest.raises(DeployFailed, match="not running"):
        engine.submit(GenerationRequest(PROMPT))


def test_a_cancelled_request_ends_and_frees_its_slot(shelf: CheckpointShelf) -> None:
    engine = make_engine(shelf, tp=1)
    engine.join("", timeout_s=5)
    engine.load(lambda fraction: None)
    handle = engine.submit(GenerationRequest(PROMPT, max_tokens=70, ignore_eos=True))
    handle.cancel()
    runner = threading.Thread(target=engine.run)
    runner.start()
    events = list(handle)
    engine.stop()
    runner.join()
    assert events[-1].finish_reason == "cancelled"
    assert engine.stats().in_flight == 0
    assert engine.stats().cache_tokens_used == 0


@pytest.mark.parametrize(
    "request_",
    [
        GenerationRequest(()),
        GenerationRequest(tuple(range(100))),
        GenerationRequest((101,)),
        GenerationRequest((-1,)),
        GenerationRequest((1,), max_tokens=0),
    ],
)
def test_a_request_that_cannot_run_is_bad_input(shelf: CheckpointShelf, request_: GenerationRequest) -> None:
    with pytest.raises(BadInput):
        make_engine(shelf, tp=1).submit(request_)


def make_engine(shelf: CheckpointShelf, tp: int) -> RankWorker:
    return RankWorker(
        shelf.get("llama").source,
        tp=tp,
        pp=1,
        tp_rank=0,
        stage=0,
        device="cpu",
        dtype="float32",
        max_model_len=100,
        max_num_seqs=2,
    )
