"""The prompts of a load test: random token ids, so that their length is exact under any tokenizer."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from cluster.load.mix import LoadMix

FIRST_ID = 33
"""Below are control tokens in most vocabularies."""
LAST_IDS = (127_999, 99_999, 49_999, 31_999, 15_999, 3_999, 499, 126)
"""Last ids to try, largest first: the largest that the endpoint accepts is in its vocabulary."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request of the mix."""

    ids: tuple[int, ...]
    max_tokens: int


def draw_prompts(mix: LoadMix, last_id: int) -> Iterator[Prompt]:
    """Yield the requests of a mix, the same for the same seed; ids from FIRST_ID to `last_id`."""
    drawn = random.Random(mix.seed)
    vocabulary = range(FIRST_ID, last_id + 1)
    prefix = tuple(drawn.choices(vocabulary, k=mix.random_prefix_len))
    for _ in range(mix.num_prompts):
        length = _length(drawn, mix.random_input_len, mix.random_range_ratio)
        own = tuple(drawn.choices(vocabulary, k=max(length, 0 if prefix else 1)))
        yield Prompt(prefix + own, max(1, _length(drawn, mix.random_output_len, mix.random_range_ratio)))


def _length(drawn: random.Random, length: int, ratio: float) -> int:
    return drawn.randint(math.floor(length * (1 - ratio)), math.ceil(length * (1 + ratio)))
