"""A server that listens is ready only as long as tokens come."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from cluster.deploy.server import pulse as pulse_module
from cluster.deploy.server.calls import ServerBusy
from cluster.deploy.server.pulse import Pulse, late_after_s
from cluster.engines.adapter import EngineMetrics
from cluster.errors import DeployFailed
from tests.ray.support import wait_until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse_module, "PROOF_EVERY_S", 0.05)
    monkeypatch.setattr(pulse_module, "_METRICS_EVERY_S", 0.01)
    monkeypatch.setattr(pulse_module, "_RETRY_S", 0.01)


class Engine:
    """What a pulse asks."""

    def __init__(self) -> None:
        self.tokens: float | None = 0.0
        self.requests = 0
        self.errors: Iterator[str] = iter(())
        self.stuck = threading.Event()
        self.stuck.set()

    def prove(self) -> None:
        self.requests += 1
        self.stuck.wait(10)
        if (error := next(self.errors, "")) != "":
            raise (ServerBusy if error == "busy" else DeployFailed)(error)
        self.tokens = None if self.tokens is None else self.tokens + 1

    def measure(self) -> EngineMetrics | None:
        return EngineMetrics(output_tokens_total=self.tokens, requests_total=self.requests, running=0)


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.stuck.set()


def proven(engine: Engine, late_s: float = 10.0) -> Pulse:
    pulse = Pulse(engine.prove, engine.measure, late_s)
    assert pulse.beat() is None and pulse.waits_for == "waiting for its first token"
    engine.prove()
    pulse.proven()
    assert pulse.waits_for == ""
    return pulse


def test_an_idle_server_is_asked_for_a_token_again_and_again(engine: Engine) -> None:
    pulse = proven(engine)
    assert wait_until(lambda: pulse.beat() is not None or engine.requests > 3, 10)
    assert pulse.beat() is None
    assert (pulse.figures().requests_total, pulse.figures().output_tokens_total) == (0, 0)
    assert (pulse.figures().proven_age_s or 0.0) < 10


def test_tokens_of_users_prove_it_too(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse_module, "PROOF_EVERY_S", 2.0)
    pulse = proven(engine)
    for _ in range(10):
        assert engine.tokens is not None
        engine.tokens += 5
        seen = engine.tokens - 1
        assert wait_until(lambda seen=seen: pulse.beat() or pulse.figures().output_tokens_total >= seen, 10)
    assert engine.requests == 1
    assert pulse.figures().tokens_per_s > 0


def test_one_failure_is_no_reason_yet_but_a_second_is(engine: Engine) -> None:
    pulse = proven(engine)
    engine.errors = iter(["HTTP 500", "", "HTTP 500", "HTTP 503"])
    reasons: list[str] = []
    assert wait_until(lambda: bool(reason := pulse.beat()) and not reasons.append(reason or ""), 10)
    assert reasons == ["HTTP 503"]
    assert engine.requests == 5


def test_a_server_that_stays_silent_is_given_up(engine: Engine) -> None:
    pulse = proven(engine, late_s=0.3)
    engine.stuck.clear()
    reasons: list[str] = []
    assert wait_until(lambda: bool(reason := pulse.beat()) and not reasons.append(reason or ""), 10)
    assert "although one was asked for" in reasons[0]


def test_a_busy_server_is_not_given_up_at_once(engine: Engine) -> None:
    pulse = proven(engine)
    engine.errors = iter(["busy"] * 5)
    assert wait_until(lambda: pulse.beat() is not None or engine.requests > 7, 10)
    assert pulse.beat() is None


def test_but_when_it_stays_so(engine: Engine) -> None:
    pulse = proven(engine, late_s=0.3)
    engine.errors = iter(["busy"] * 1000)
    reasons: list[str] = []
    assert wait_until(lambda: bool(reason := pulse.beat()) and not reasons.append(reason or ""), 10)
    assert "although one was asked for (busy)" in reasons[0]


def test_a_queue_is_no_silence(engine: Engine) -> None:
    """The proof waits behind users' requests, whose tokens come."""
    pulse = proven(engine, late_s=0.3)
    engine.stuck.clear()
    for _ in range(12):
        assert engine.tokens is not None
        engine.tokens += 1
        assert not wait_until(lambda: pulse.beat() is not None, 0.02)


def test_without_metrics_tokens_are_asked_for(engine: Engine) -> None:
    pulse = proven(engine)
    engine.tokens = None
    assert wait_until(lambda: pulse.beat() is not None or engine.requests > 3, 10)
    assert pulse.figures().output_tokens_total == 0


def test_the_longest_prompt_may_take_its_time() -> None:
    assert late_after_s(8192) < 70
    assert late_after_s(1_000_000) > 500
