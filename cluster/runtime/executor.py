"""Runs one step on one rank. Every rank of the group runs the same steps in the same order."""

from __future__ import annotations

import torch

from cluster.runtime.config import ModelConfig
from cluster.runtime.kv_slots import KvCache
from cluster.runtime.partition import RankPart
from cluster.runtime.rank_group import RankGroup
from cluster.runtime.sampling import Sampler
from cluster.runtime.stage_model import StageModel
from cluster.runtime.step_attention import DecodeAttention, PromptAttention, StepAttention
from cluster.runtime.step_plan import StepKind, StepPlan


class StepExecutor:
    """One rank's model, KV cache and group, driven by the leader's step plans."""

    def __init__(
        self,
        config: ModelConfig,
        part: RankPart,
        model: StageModel,
        cache: KvCache,
        group: RankGroup,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._hidden_size = config.hidden_size
        self._part = part
        self._model = model
        self._cache = cache
        self._group = group
        self._device = device
        self._dtype = dtype
        self._sampler = Sampler(group, part.vocab.first, part.vocab.size, config.vocab_size)

    def execute(self, plan: StepPlan) -> list[int]:
        """Run a step. Returns the sampled tokens, one per sequence, on the leader; [] elsewhere."""
        with torch.inference_mode():
            for move in plan.moves:
                self._cache.move(move.source, move.target, move.length)
                self._sampler.move(move)
            hidden = self._forward(plan.tokens, self._attention(plan))
            return self._sample(plan, hidden)

    def prompt_logits(self, tokens: tuple[int, ...]) -> torch.Tensor | None:
        """Return float32 logits [tokens, vocabulary] on the last stage's first rank, None elsewhere.

        Every rank must call it, and slot 0 must be free.
        """
        with torch.inference_mode():
            attention = PromptAttention(self._cache, 0, 0, len(tokens), len(tokens), self._device)
            hidden = self._forward(tokens, attention)
            if not self._part.is_last_stage:
                return None
            return self._sampler.full(self._model.local_logits(hidden))

    def _attention(self, plan: StepPlan) -> StepAttention:
        if plan.kind is StepKind.DECODE:
            return DecodeAttention(self._cache, list(plan.positions), self._device)
        start = plan.positions[0]
        end = start + len(plan.tokens)
        return PromptAttention(self._cache, plan.slot, start, end, plan.prompt_length, self._device)

    def _forward(self, tokens: tuple[int, ...], attention: StepAttention) -> torch.Tensor:
        if self._part.is_first_stage:
            hidden = self._model.embed(torch.tensor(tokens, device=self._device))
        else:
            hidden = self._group.receive_hidden((len(tokens), self._hidden_size), self._dtype)
        hidden = self._model.forward(hidden, attention)
        if not self._part.is_last_stage:
            self._group.send_hidden(hidden)
        return hidden

    def _sample(self, plan: StepPlan, hidden: torch.Tensor) -> list[int]:
        if plan.kind is StepKind.PROMPT and plan.sampling is None:
            return []
        slots = [plan.slot] if plan.kind is StepKind.PROMPT else list(range(len(plan.tokens)))
        tokens = None
        if self._part.is_last_stage:
            if plan.sampling is not None:
                self._sampler.open(plan.slot, plan.sampling)
            rows = hidden[-1:] if plan.kind is StepKind.PROMPT else hidden
            tokens = self._sampler.next_tokens(self._model.local_logits(rows), slots, plan.greedy)
        return self._group.return_tokens(tokens, len(slots)) or []
