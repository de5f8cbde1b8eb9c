"""The mix of requests that a load test sends. Named as in `vllm bench serve`, so that figures compare."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from cluster.frozen import FromAnyVersion
from cluster.load.defaults import BURSTINESS, INPUT_TOKENS, NUM_PROMPTS, OUTPUT_TOKENS


class LoadMix(FromAnyVersion):
    """How many requests, how long, and when they are sent."""

    num_prompts: Annotated[int, Field(ge=1)] = NUM_PROMPTS
    request_rate: Annotated[float, Field(gt=0)] | None = None
    """Requests per second; None: all at once, as many in flight as max_concurrency allows."""
    burstiness: Annotated[float, Field(gt=0)] = BURSTINESS
    """Shape of the gamma distribution of the intervals: 1 is a Poisson process, less comes in bursts."""
    max_concurrency: Annotated[int, Field(ge=1)] | None = None
    """Most requests in flight; None: no limit."""
    random_input_len: Annotated[int, Field(ge=0)] = INPUT_TOKENS
    """Tokens of a prompt, besides the shared prefix."""
    random_output_len: Annotated[int, Field(ge=1)] = OUTPUT_TOKENS
    random_range_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Lengths are drawn evenly from length x (1 - ratio) to length x (1 + ratio)."""
    random_prefix_len: Annotated[int, Field(ge=0)] = 0
    """Tokens that all prompts begin with."""
    ignore_eos: bool = False
    """Ask the engine to generate all of random_output_len."""
    seed: int = 0

    @property
    def input_tokens(self) -> int:
        """Mean tokens of a prompt, shared prefix included."""
        return self.random_prefix_len + self.random_input_len

    @property
    def longest_tokens(self) -> int:
        """Tokens that the longest request may take: prompt and output."""
        longer = 1 + self.random_range_ratio
        drawn = math.ceil(self.random_input_len * longer) + math.ceil(self.random_output_len * longer)
        return self.random_prefix_len + drawn

    @property
    def text(self) -> str:
        """The mix in one line: '100 requests, 4/s, 1,024 tokens in, 128 out'."""
        parts = [f"{self.num_prompts:,} request{'' if self.num_prompts == 1 else 's'}", *self._when()]
        spread = f" ±{100 * self.random_range_ratio:g}%" if self.random_range_ratio else ""
        shared = f" ({self.random_prefix_len:,} shared)" if self.random_prefix_len else ""
        parts.append(f"{self.input_tokens:,}{spread} tokens in{shared}")
        parts.append(f"{self.random_output_len:,}{spread} out")
        return ", ".join(parts)

    def _when(self) -> list[str]:
        parts = []
        if self.request_rate is not None:
            bursty = "" if self.burstiness == 1 else f" (burstiness {self.burstiness:g})"
            parts.append(f"{self.request_rate:g}/s{bursty}")
        if self.max_concurrency is not None:
            parts.append(f"at most {self.max_concurrency:,} in flight")
        return parts or ["all at once"]
