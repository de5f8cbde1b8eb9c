"""One step as the leader broadcasts it to its group, and its encoding as a list of integers."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from cluster.runtime.generation import SamplingParams


class StepKind(IntEnum):
    """What every rank does in this step."""

    IDLE = 0  # no work: a heartbeat within the group's timeout
    PROMPT = 1
    DECODE = 2
    STOP = 3


@dataclass(frozen=True, slots=True)
class SlotMove:
    """Before the step, move the `length` cached tokens of slot `source` to slot `target`."""

    source: int
    target: int
    length: int


@dataclass(frozen=True, slots=True)
class StepPlan:
    """A step. PROMPT runs `tokens` of one slot; DECODE runs one token for each of slots 0 to n - 1."""

    kind: StepKind
    moves: tuple[SlotMove, ...] = ()
    tokens: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()
    """DECODE: position of each token. PROMPT: (position of the first token,)."""
    slot: int = 0
    prompt_length: int = 0
    sampling: SamplingParams | None = None
    """PROMPT: set with the last chunk of a prompt, after which the first token is sampled."""
    greedy: bool = True
    """Whether every sequence sampled in this step is greedy."""


def encode(plan: StepPlan) -> list[int]:
    """Encode a plan as 64-bit integers."""
    sampling = plan.sampling
    body = [int(plan.kind), plan.slot, plan.prompt_length, int(plan.greedy), int(sampling is not None)]
    if sampling is not None:
        body += [_bits(sampling.temperature), _bits(sampling.top_p), sampling.top_k, sampling.seed or 0]
    body += [len(plan.moves), *(number for move in plan.moves for number in _numbers(move))]
    return [*body, len(plan.positions), *plan.positions, len(plan.tokens), *plan.tokens]


def decode(numbers: list[int]) -> StepPlan:
    """Decode what `encode` returned."""
    kind, slot, prompt_length, greedy, has_sampling = numbers[:5]
    rest = numbers[5:]
    sampling = None
    if has_sampling:
        temperature, top_p, top_k, seed = rest[:4]
        sampling = SamplingParams(_float(temperature), _float(top_p), top_k, seed)
        rest = rest[4:]
    num_moves, rest = rest[0], rest[1:]
    moves = tuple(SlotMove(*rest[3 * index : 3 * index + 3]) for index in range(num_moves))
    positions, rest = _counted(rest[3 * num_moves :])
    tokens, _ = _counted(rest)
    return StepPlan(StepKind(kind), moves, tokens, positions, slot, prompt_length, sampling, bool(greedy))


def _counted(numbers: list[int]) -> tuple[tuple[int, ...], list[int]]:
    end = 1 + numbers[0]
    return tuple(numbers[1:end]), numbers[end:]


def _numbers(move: SlotMove) -> tuple[int, int, int]:
    return move.source, move.target, move.length


def _bits(value: float) -> int:
    return int(struct.unpack("<q", struct.pack("<d", value))[0])


def _float(bits: int) -> float:
    return float(struct.unpack("<d", struct.pack("<q", bits))[0])
