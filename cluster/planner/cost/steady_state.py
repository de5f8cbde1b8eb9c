"""A replica under a steady stream of requests: chunked prefill of new prompts mixed with decoding."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.planner.cost.pipeline import cycle_time_s, pass_time, with_host
from cluster.planner.cost.replica_work import ReplicaWork
from cluster.planner.cost.roofline import Load, StageTime


@dataclass(frozen=True, slots=True)
class Stream:
    """The requests that a replica serves."""

    input_tokens: int
    output_tokens: int
    token_budget: int
    """Maximum tokens per step: max_num_batched_tokens."""

    @property
    def chunk_tokens(self) -> float:
        return float(max(1, min(self.input_tokens, self.token_budget)))

    @property
    def chunks(self) -> float:
        return max(1.0, self.input_tokens / self.chunk_tokens)

    @property
    def steps(self) -> float:
        """Steps that a request is part of; the last chunk of its prompt yields the first token."""
        return max(1, self.output_tokens) - 1 + self.chunks

    @property
    def prefill_share(self) -> float:
        return self.chunks / self.steps

    @property
    def mean_context(self) -> float:
        return self.input_tokens + self.output_tokens / 2


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """A replica at one batch size."""

    batch: float
    throughput_tokens_per_s: float
    ttft_s: float
    tpot_s: float
    residence_s: float
    """From a request's admission to its last token."""
    micro_batches: int
    host_bound: bool
    decode: StageTime
    """The slowest stage's decode-only step."""
    mean: StageTime
    """The slowest stage's mean step, prefill included."""


def batch_for_budget(stream: Stream, lanes: int) -> float:
    """Return the batch at which decoded tokens and the prompts that replace finished requests just fill the
    step's token budget, over `lanes` micro-batches x data-parallel attention ranks."""
    share = stream.prefill_share
    return lanes * stream.token_budget / (1.0 - share + share * stream.chunk_tokens)


def steady_state(replica: ReplicaWork, stream: Stream, batch: float) -> ReplicaState:
    """Return rates and latencies with `batch` requests always in flight in the replica.

    A request takes part in `steps` steps: its prompt's chunks, then one token each. With `prompts` = batch x
    prefill_share of them prefilling at any time, a step carries that many chunks; below one, only that share
    of the steps carries a chunk.
    """
    micro = max(1, min(len(replica.stages), int(batch)))
    lane = batch / micro / replica.group.attention_ranks
    prompts = lane * stream.prefill_share
    mixed = _mixed_load(stream, lane, prompts)
    plain = Load(sequences=lane, context=stream.mean_context)
    host_s = _host_s(replica, stream, lane)
    engine = replica.rates.engine
    overlap = engine.overlap if len(replica.stages) == 1 else engine.pipeline_overlap
    step_s = engine.step_s
    mixed_pass = pass_time(replica, mixed)
    plain_pass = pass_time(replica, plain)
    mixed_s = with_host(cycle_time_s(mixed_pass, micro) + step_s, host_s * micro, overlap)
    plain_s = with_host(cycle_time_s(plain_pass, micro) + step_s, host_s * micro, overlap)
    if replica.group.attention_ranks > 1:
        mixed_s, plain_s = mixed_s / engine.lockstep_share, plain_s / engine.lockstep_share
    share = min(1.0, prompts)
    share += engine.pipeline_pacing * (min(1.0, prompts * micro) - share)
    mean_s = share * mixed_s + (1.0 - share) * plain_s
    others = share if prompts > 1 else share * max(0.0, 1.0 - 1.0 / lane)
    tpot_s = others * mixed_s + (1.0 - others) * plain_s
    residence_s = stream.steps * mean_s
    alone_s = with_host(mixed_pass.latency_s + step_s, host_s, overlap)
    waited_s = 0.5 * mean_s if batch > 1 else 0.0
    arrived_s = (engine.host_request_s + engine.first_token_s) / replica.rates.host_speed
    ttft_s = arrived_s + waited_s + alone_s + (stream.chunks - 1) * mixed_s
    return ReplicaState(
        batch=batch,
        throughput_tokens_per_s=batch * stream.output_tokens / residence_s,
        ttft_s=ttft_s,
        tpot_s=tpot_s,
        residence_s=residence_s,
        micro_batches=micro,
        host_bound=host_s * micro > cycle_time_s(plain_pass, micro),
        decode=plain_pass.slowest,
        mean=_blend(mixed_pass.slowest, plain_pass.slowest, share),
    )


def _blend(mixed: StageTime, plain: StageTime, share: float) -> StageTime:
    def mean(one: float, other: float) -> float:
        return share * one + (1.0 - share) * other

    return StageTime(
        total_s=mean(mixed.total_s, plain.total_s),
        memory_s=mean(mixed.memory_s, plain.memory_s),
        compute_s=mean(mixed.compute_s, plain.compute_s),
        all_reduce_s=mean(mixed.all_reduce_s, plain.all_reduce_s),
        fixed_s=mean(mixed.fixed_s, plain.fixed_s),
    )


def _mixed_load(stream: Stream, lane: float, prompts: float) -> Load:
    at_once = max(1.0, prompts)
    return Load(
        sequences=max(0.0, lane - at_once),
        context=stream.mean_context,
        prompt_tokens=at_once * stream.chunk_tokens,
        prompts=at_once / stream.chunks,
        keys_per_prompt_token=stream.input_tokens / 2,
    )


def _host_s(replica: ReplicaWork, stream: Stream, sequences: float) -> float:
    engine, speed = replica.rates.engine, replica.rates.host_speed
    requests = sequences / stream.steps
    ranks = replica.group.tp * len(replica.stages) * replica.group.attention_ranks
    work_s = engine.host_step_s + (engine.host_group_s if ranks > 1 else 0.0)
    work_s += engine.host_sequence_s * sequences + engine.host_request_s * requests
    return work_s / speed
