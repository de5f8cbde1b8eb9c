"""Chooses the next tokens from logits that are sharded over the ranks of the last stage."""

from __future__ import annotations

import random

import torch

from cluster.runtime.generation import SamplingParams
from cluster.runtime.rank_group import RankGroup
from cluster.runtime.step_plan import SlotMove


class Sampler:
    """Samples on the last stage's first rank; holds the parameters and random state of each slot."""

    def __init__(self, group: RankGroup, first_row: int, padded_rows: int, vocab_size: int) -> None:
        self._group = group
        self._first_row = first_row
        self._padded_rows = padded_rows
        self._vocab_size = vocab_size
        self._slots: dict[int, tuple[SamplingParams, random.Random]] = {}

    def open(self, slot: int, sampling: SamplingParams) -> None:
        """Set parameters and random state for a new sequence."""
        self._slots[slot] = (sampling, random.Random(sampling.seed))

    def move(self, move: SlotMove) -> None:
        if move.source in self._slots:
            self._slots[move.target] = self._slots.pop(move.source)

    def next_tokens(self, local: torch.Tensor, slots: list[int], greedy: bool) -> list[int] | None:
        """Take this rank's logits [sequences, local rows]; return a token per sequence on the first rank."""
        if greedy:
            return self._greedy(local)
        logits = self.full(local)
        if logits is None:
            return None
        return [draw_token(row, *self._slots[slot]) for row, slot in zip(logits, slots, strict=True)]

    def _greedy(self, local: torch.Tensor) -> list[int] | None:
        """Compare each rank's best token: two numbers per sequence are sent instead of a vocabulary."""
        if self._group.tp == 1:
            return [int(token) for token in local.argmax(dim=-1).tolist()]
        if local.shape[1]:
            best = local.argmax(dim=-1, keepdim=True)
            # Score and token id share one tensor; a double holds every float32 and every token id exactly.
            pair = torch.cat((local.gather(1, best).double(), best.double() + self._first_row), dim=1)
        else:
            # This rank has only padding rows: it still takes part in the gather, and never wins.
            pair = torch.tensor([[-torch.inf, 0.0]], dtype=torch.float64, device=local.device)
            pair = pair.repeat(local.shape[0], 1)
        gathered = self._group.gather(pair)
        if gathered is None:
            return None
        pairs = torch.stack(gathered).cpu()
        winners = pairs[:, :, 0].argmax(dim=0)
        return [int(pairs[winner, row, 1]) for row, winner in enumerate(winners.tolist())]

    def full(self, local: torch.Tensor) -> torch.Tensor | None:
        """Return the full logits [sequences, vocabulary] on the first rank, None elsewhere."""
        missing = self._padded_rows - local.shape[1]
        padded = torch.nn.functional.pad(local, (0, missing), value=-torch.inf).contiguous()
        gathered = self._group.gather(padded)
        return None if gathered is None else torch.cat(gathered, dim=1)[:, : self._vocab_size]


def draw_token(logits: torch.Tensor, sampling: SamplingParams, rng: random.Random) -> int:
    """Draw a token from softmax(logits / temperature), limited to top k and then to top p."""
    if sampling.temperature == 0:
        return int(logits.argmax())
    scores, order = _candidates(logits.double() / sampling.temperature, sampling)
    cumulative = torch.softmax(scores, dim=0).cumsum(dim=0)
    # Keep the token that reaches top_p, so that there is always at least one.
    kept = min(len(cumulative), int((cumulative < sampling.top_p).sum()) + 1)
    target = rng.random() * cumulative[kept - 1]
    index = min(int(torch.searchsorted(cumulative[:kept], target, right=True)), kept - 1)
    return index if order is None else int(order[index])


def _candidates(scores: torch.Tensor, sampling: SamplingParams) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return scores and token ids, best first; unsorted, without ids, if neither top k nor top p applies."""
    if 0 < sampling.top_k < len(scores):
        best = torch.topk(scores, sampling.top_k)
        return best.values, best.indices
    if sampling.top_p < 1:
        return torch.sort(scores, descending=True, stable=True)  # type: ignore[no-any-return]
    return scores, None
