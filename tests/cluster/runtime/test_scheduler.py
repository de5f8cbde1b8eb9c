"""Continuous batching without a model: step plans run on a simulated cache of slots."""

from __future__ import annotations

import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.runtime.generation import GenerationHandle, GenerationRequest, SamplingParams
from cluster.runtime.scheduler import PROMPT_CHUNK_TOKENS, Scheduler
from cluster.runtime.sequence import Sequence
from cluster.runtime.step_plan import StepKind, StepPlan


def sequence(prompt: tuple[int, ...], max_tokens: int) -> Sequence:
    request = GenerationRequest(prompt, max_tokens=max_tokens)
    return Sequence(request, SamplingParams(), GenerationHandle(), max_tokens, frozenset())


class SlotCache:
    """What a rank's KV cache would hold: the tokens of each slot, checked against every plan."""

    def __init__(self, num_slots: int) -> None:
        self.slots: list[list[int]] = [[] for _ in range(num_slots)]

    def execute(self, plan: StepPlan) -> list[int]:
        for move in plan.moves:
            self.slots[move.target] = self.slots[move.source][: move.length]
        if plan.kind is StepKind.PROMPT:
            kept = self.slots[plan.slot][: plan.positions[0]]
            assert len(kept) == plan.positions[0]
            self.slots[plan.slot] = kept + list(plan.tokens)
            assert (plan.sampling is not None) == (len(self.slots[plan.slot]) == plan.prompt_length)
            return [answer(self.slots[plan.slot])] if plan.sampling else []
        tokens = []
        for slot, (token, position) in enumerate(zip(plan.tokens, plan.positions, strict=True)):
            kept = self.slots[slot][:position]
            assert len(kept) == position
            self.slots[slot] = [*kept, token]
            tokens.append(answer(self.slots[slot]))
        return tokens


def answer(tokens: list[int]) -> int:
    """A next token that depends on everything before it."""
    return hash(tuple(tokens)) % 1000


def expected(prompt: tuple[int, ...], max_tokens: int) -> list[int]:
    tokens = list(prompt)
    for _ in range(max_tokens):
        tokens.append(answer(tokens))
    return tokens[len(prompt) :]


def drain(scheduler: Scheduler, cache: SlotCache) -> list[StepKind]:
    kinds = []
    while scheduler.in_flight:
        plan = scheduler.next_plan(idle_wait_s=0)
        kinds.append(plan.kind)
        scheduler.apply(plan, cache.execute(plan))
    return kinds


def tokens_of(item: Sequence) -> list[int]:
    return [event.token_id for event in item.handle if event.token_id is not None]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 2 * PROMPT_CHUNK_TOKENS + 5), st.integers(1, 9)), min_size=1, max_size=12
    ),
    st.integers(1, 5),
)
def test_every_sequence_gets_what_it_would_get_alone(sizes: list[tuple[int, int]], num_slots: int) -> None:
    scheduler, cache = Scheduler(num_slots), SlotCache(num_slots)
    items = [
        sequence(tuple(range(number, number + length)), max_tokens)
        for number, (length, max_tokens) in enumerate(sizes)
    ]
    for item in items:
        assert scheduler.add(item)
    drain(scheduler, cache)
    for item in items:
        assert tokens_of(item) == expected(item.prompt, item.max_tokens)
    assert scheduler.cached_tokens == 0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 7), min_size=1, max_size=8), st.integers(1, 4))
def test_cancelling_some_leaves_the_others_right(cancelled: list[int], num_slots: int) -> None:
    scheduler, cache = Scheduler(num_slots), SlotCache(num_slots)
    items = [sequence((number, number + 1), max_tokens=6) for number in range(8)]
    for item in items:
        scheduler.add(item)
    for number in cancelled:
        plan = scheduler.next_plan(idle_wait_s=0)
        if plan.kind is not StepKind.IDLE:
            scheduler.apply(plan, cache.execute(plan))
        items[number].handle.cancel()
    drain(scheduler, cache)
    for item in items:
        tokens = tokens_of(item)
        assert tokens == expected(item.prompt, 6)[: len(tokens)]
        assert len(tokens) == 6 or item.handle.is_cancelled


def test_a_long_prompt_does_not_stall_the_others() -> None:
    scheduler, cache = Scheduler(2), SlotCache(2)
    scheduler.add(sequence((1,), max_tokens=20))
    scheduler.add(sequence(tuple(range(3 * PROMPT_CHUNK_TOKENS)), max_tokens=2))
    kinds = drain(scheduler, cache)
    P, D = StepKind.PROMPT, StepKind.DECODE
    assert kinds[:7] == [P, D, P, D, P, D, P]


def test_idle_and_stop() -> None:
    scheduler = Scheduler(1)
    assert scheduler.next_plan(idle_wait_s=0).kind is StepKind.IDLE
    waiter = threading.Thread(target=scheduler.next_plan, args=(60,))
    waiter.start()
    scheduler.stop()
    waiter.join(timeout=30)
    assert not waiter.is_alive()
    assert scheduler.next_plan(idle_wait_s=0).kind is StepKind.STOP
    assert not scheduler.add(sequence((1,), 1))


def test_closing_ends_what_was_queued_with_the_reason() -> None:
    scheduler = Scheduler(1)
    item = sequence((1,), 1)
    scheduler.add(item)
    scheduler.close("the replica failed: rank 1")
    event = item.handle.next_event(timeout_s=1)
    assert (event.finish_reason, event.error) == ("error", "the replica failed: rank 1")
