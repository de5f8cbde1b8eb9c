"""One rank of a replica, from joining its group to serving. Driven by a Ray actor (deploy/rank_actor.py)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from cluster.errors import DeployFailed
from cluster.runtime.admission import admit
from cluster.runtime.config import read_model_config
from cluster.runtime.generation import GenerationHandle, GenerationRequest, SamplingParams
from cluster.runtime.partition import rank_part
from cluster.runtime.runtime_stats import RuntimeStats, StepMeter
from cluster.runtime.scheduler import Scheduler
from cluster.runtime.step_plan import StepKind, StepPlan
from cluster.runtime.weight_source import WeightSource, resolve_dtype

# An idle leader sends a step plan at least this often, as a fraction of the group's timeout.
HEARTBEAT_SHARE = 0.25
MAX_HEARTBEAT_S = 5.0


class RankWorker:
    """Call `join`, `load`, `warm_up` and `run` once each, in this order; `stop` ends `run`.

    The leader (tp_rank 0 of stage 0) accepts requests, decides every step and broadcasts it. An error on any
    rank ends `run` on all of them: the failing rank leaves the group, and the others' collectives fail.
    """

    def __init__(
        self,
        source: Mapping[str, Any] | Any,
        *,
        tp: int,
        pp: int,
        tp_rank: int,
        stage: int,
        device: str,
        dtype: str,
        max_model_len: int,
        max_num_seqs: int,
        layers: tuple[int, int] | None = None,
    ) -> None:
        """`max_num_seqs` is an upper limit: fewer run if memory is short. `layers` is this stage's half-open
        range if the plan splits layers unevenly; by default they are split evenly.
        """
        self._source = WeightSource.of(source)
        self.config = read_model_config(self._source.config)
        self.part = rank_part(self.config, tp=tp, pp=pp, tp_rank=tp_rank, stage=stage, layers=layers)
        self.tp, self.pp = tp, pp
        self.max_model_len = max_model_len
        self.max_num_seqs = max_num_seqs
        self.is_leader = tp_rank == 0 and stage == 0
        self.eos_token_ids = self._source.eos_token_ids(self.config)
        self._device_name = "cuda:0" if device == "cuda" else device
        self._dtype_name = resolve_dtype(dtype, self.config)
        self._scheduler = Scheduler(max_num_seqs)
        self._meter = StepMeter()
        self._heartbeat_s = MAX_HEARTBEAT_S
        self._group: Any = None
        self._rank: Any = None

    def join(self, init_method: str, timeout_s: float) -> None:
        """Connect to the other ranks at tcp://host:port; `timeout_s` also bounds every later collective."""
        import torch

        from cluster.runtime.rank_group import RankGroup

        device = torch.device(self._device_name)
        if device.type == "cuda":
            torch.cuda.set_device(device)
        self._heartbeat_s = min(MAX_HEARTBEAT_S, HEARTBEAT_SHARE * timeout_s)
        self._group = RankGroup(
            tp=self.tp, pp=self.pp, tp_rank=self.part.tp_rank, stage=self.part.stage, device=device
        )
        self._group.join(init_method, timeout_s, plan_capacity=32 + 8 * self.max_num_seqs)

    def load(self, on_progress: Callable[[float], None]) -> None:
        """Read or generate this rank's weights. `on_progress` is called with 0 to 1."""
        from cluster.runtime.loading import load_rank

        self._rank = load_rank(
            self._source,
            self.config,
            self.part,
            self._group,
            dtype_name=self._dtype_name,
            max_len=self.max_model_len,
            num_slots=self.max_num_seqs,
            on_progress=on_progress,
        )

    def warm_up(self) -> None:
        """Run one token through all ranks. Call it on every rank after all have loaded.

        A rank that fails here leaves the group, so that the others fail at once too.
        """
        try:
            self._send_first_token()
        except BaseException:
            self._group.close()
            raise

    def run(self) -> None:
        """Run steps until `stop`. Raises on an error of this rank, a lost peer or a timeout."""
        try:
            while self._step():
                pass
        except BaseException as error:
            self._scheduler.close(f"the replica failed: {error}")
            raise
        finally:
            self._scheduler.close("the replica was stopped")
            self._group.close()

    def stop(self) -> None:
        """End `run` on every rank. Only has an effect on the leader. Thread-safe."""
        self._scheduler.stop()

    def submit(self, request: GenerationRequest) -> GenerationHandle:
        """Queue a request. Leader only. BadInput if it can never run. Thread-safe."""
        sequence = admit(request, self.config, self.max_model_len, self.eos_token_ids)
        if not self._scheduler.add(sequence):
            raise DeployFailed("The replica is not running", "Send the request to another replica")
        self._meter.count_request()
        return sequence.handle

    def stats(self) -> RuntimeStats:
        """Return recent activity of the replica. Other ranks than the leader fill in memory only."""
        return RuntimeStats(
            requests_total=self._meter.requests_total,
            in_flight=self._scheduler.in_flight,
            output_tokens_total=self._meter.output_tokens_total,
            tokens_per_s=self._meter.tokens_per_s(),
            all_reduces_per_token=self._meter.all_reduces_per_token,
            all_reduce_share=self._meter.all_reduce_share(),
            memory_used_bytes=self._rank.memory_used_bytes() if self._rank else 0,
            cache_tokens_used=self._scheduler.cached_tokens,
            cache_tokens_total=self._scheduler.max_num_seqs * self.max_model_len,
        )

    @property
    def bytes_read(self) -> int:
        """Bytes of weights read from disk by this rank."""
        return int(self._rank.bytes_read) if self._rank else 0

    def prompt_logits(self, token_ids: tuple[int, ...]) -> Any:
        """Return float32 logits [tokens, vocabulary] on the last stage's first rank, None elsewhere.

        For tests against another implementation. Every rank must call it, and not during `run`.
        """
        return self._rank.prompt_logits(token_ids)

    def _send_first_token(self) -> None:
        self._scheduler.limit(self._group.least_over_ranks(self._rank.num_slots))
        sampling = SamplingParams()
        prompt = StepPlan(StepKind.PROMPT, tokens=(0,), positions=(0,), prompt_length=1, sampling=sampling)
        self._rank.execute(prompt)
        self._group.meter.take()
        if self.max_model_len > 1:
            self._rank.execute(StepPlan(StepKind.DECODE, tokens=(0,), positions=(1,)))
        all_reduces, _ = self._group.meter.take()
        # All TP ranks of a stage count the same all-reduce, hence the division.
        self._meter.all_reduces_per_token = self._group.sum_over_ranks(all_reduces) / self.tp

    def _step(self) -> bool:
        plan = self._scheduler.next_plan(self._heartbeat_s) if self.is_leader else None
        started_s = time.perf_counter()
        plan = self._group.share_plan(plan)
        if plan.kind is StepKind.STOP:
            self._group.part()
            return False
        if plan.kind is not StepKind.IDLE:
            tokens = self._rank.execute(plan)
            self._record(plan, tokens, time.perf_counter() - started_s)
        return True

    def _record(self, plan: StepPlan, tokens: list[int], duration_s: float) -> None:
        _, all_reduce_s = self._group.meter.take()
        if self.is_leader:
            is_decode = plan.kind is StepKind.DECODE
            self._meter.count_step(duration_s, len(tokens), is_decode=is_decode, all_reduce_s=all_reduce_s)
            self._scheduler.apply(plan, tokens)
