"""The ranks of one replica as a torch.distributed group, and everything they send each other."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from cluster.errors import DeployFailed
from cluster.runtime.all_reduce_meter import AllReduceMeter
from cluster.runtime.rendezvous import take_store
from cluster.runtime.step_plan import StepPlan, decode, encode


class RankGroup:
    """A TP x PP grid of ranks. The world rank is stage * tp + tp_rank; rank 0 is the leader.

    Tensors travel over NCCL on GPUs and gloo on CPUs. Step plans and tokens always travel over gloo, because
    a rank that waits there sleeps instead of busy-polling on its GPU or core.
    """

    def __init__(self, *, tp: int, pp: int, tp_rank: int, stage: int, device: torch.device) -> None:
        self.tp = tp
        self.pp = pp
        self.tp_rank = tp_rank
        self.stage = stage
        self.rank = stage * tp + tp_rank
        self.world_size = tp * pp
        self.meter = AllReduceMeter(device)
        self.device = device
        self._stage_group: Any = None
        self._control: Any = None
        self._plan_buffer = torch.zeros(1, dtype=torch.int64)

    @property
    def is_leader(self) -> bool:
        return self.rank == 0

    def join(self, init_method: str, timeout_s: float, plan_capacity: int) -> None:
        """Connect to the other ranks; `timeout_s` applies to this and to every later collective."""
        self._plan_buffer = torch.zeros(plan_capacity, dtype=torch.int64)
        if self.world_size == 1:
            return
        timeout = timedelta(seconds=timeout_s)
        on_gpu = self.device.type == "cuda"
        try:
            dist.init_process_group(
                "nccl" if on_gpu else "gloo",
                store=take_store(init_method, self.is_leader, timeout_s),
                rank=self.rank,
                world_size=self.world_size,
                timeout=timeout,
                device_id=self.device if on_gpu else None,
            )
            self._control = dist.new_group(backend="gloo", timeout=timeout) if on_gpu else dist.group.WORLD
            self._stage_group = self._make_stage_group(timeout)
        except (RuntimeError, ValueError) as error:
            raise DeployFailed(
                f"Rank {self.rank} of {self.world_size} could not join {init_method}: {error}",
                "Check that every rank is running and can reach that address",
            ) from error

    def _make_stage_group(self, timeout: timedelta) -> Any:
        if self.pp == 1:
            return dist.group.WORLD
        # new_group is collective: every rank must create every group, in the same order.
        groups = [
            dist.new_group(list(range(stage * self.tp, (stage + 1) * self.tp)), timeout=timeout)
            for stage in range(self.pp)
        ]
        return groups[self.stage]

    def all_reduce(self, partial: torch.Tensor) -> None:
        """Replace `partial` by its sum over the ranks of this stage, in place; counted and timed."""
        if self.tp == 1:
            return
        started = self.meter.start()
        dist.all_reduce(partial, group=self._stage_group)
        self.meter.stop(started)

    def gather(self, local: torch.Tensor) -> list[torch.Tensor] | None:
        """Return the `local` of each rank of this stage, in order, on its first rank; None on the others."""
        if self.tp == 1:
            return [local]
        gathered = [torch.empty_like(local) for _ in range(self.tp)] if self.tp_rank == 0 else None
        dist.gather(local, gathered, dst=self.stage * self.tp, group=self._stage_group)
        return gathered

    def send_hidden(self, hidden: torch.Tensor) -> None:
        """Send hidden states to the same TP rank of the next stage."""
        dist.send(hidden, dst=self.rank + self.tp)

    def receive_hidden(self, shape: tuple[int, int], dtype: torch.dtype) -> torch.Tensor:
        """Receive hidden states from the same TP rank of the previous stage."""
        hidden = torch.empty(shape, device=self.device, dtype=dtype)
        dist.recv(hidden, src=self.rank - self.tp)
        return hidden

    def return_tokens(self, tokens: list[int] | None, count: int) -> list[int] | None:
        """Send sampled tokens from the last stage's first rank to the leader; other ranks get None."""
        sampler = (self.pp - 1) * self.tp
        if sampler == 0:
            return tokens
        if self.rank == sampler:
            dist.send(torch.tensor(tokens, dtype=torch.int64), dst=0, group=self._control)
        if not self.is_leader:
            return None
        received = torch.empty(count, dtype=torch.int64)
        dist.recv(received, src=sampler, group=self._control)
        return [int(token) for token in received.tolist()]

    def share_plan(self, plan: StepPlan | None) -> StepPlan:
        """Broadcast the leader's step plan. Followers pass None and wait for it."""
        if self.world_size == 1:
            assert plan is not None
            return plan
        # A broadcast needs one shape on all ranks, and followers do not know the length of a plan: a fixed
        # buffer carries [length, numbers...]; the rare plan that is longer sends the rest in a second one.
        numbers = [] if plan is None else encode(plan)
        room = len(self._plan_buffer) - 1
        if plan is not None:
            head = [len(numbers), *numbers[:room]]
            self._plan_buffer[: len(head)] = torch.tensor(head, dtype=torch.int64)
        dist.broadcast(self._plan_buffer, src=0, group=self._control)
        length = int(self._plan_buffer[0])
        overflow = torch.tensor(numbers[room:], dtype=torch.int64)
        if length > room:
            overflow = overflow if plan is not None else torch.empty(length - room, dtype=torch.int64)
            dist.broadcast(overflow, src=0, group=self._control)
        if plan is not None:
            return plan
        return decode([*self._plan_buffer[1 : 1 + min(length, room)].tolist(), *overflow.tolist()])

    def sum_over_ranks(self, value: float) -> float:
        """Return the sum of `value` over all ranks, on every rank."""
        if self.world_size == 1:
            return value
        total = torch.tensor([value], dtype=torch.float64)
        dist.all_reduce(total, group=self._control)
        return float(total)

    def least_over_ranks(self, value: int) -> int:
        """Return the smallest `value` of all ranks, on every rank."""
        if self.world_size == 1:
            return value
        least = torch.tensor([value], dtype=torch.int64)
        dist.all_reduce(least, op=dist.ReduceOp.MIN, group=self._control)
        return int(least)

    def part(self) -> None:
        """Wait until every rank has received STOP, so that none sees a closed connection first."""
        with contextlib.suppress(RuntimeError):
            self.sum_over_ranks(0)

    def close(self) -> None:
        """Leave the group. Peers waiting for this rank fail at once instead of after their timeout."""
        if self.world_size > 1 and dist.is_initialized():
            with contextlib.suppress(RuntimeError):
                dist.destroy_process_group()
