"""When the requests of a load test are sent: as `vllm bench serve` does it."""

from __future__ import annotations

import itertools
import random

from cluster.load.mix import LoadMix


def arrival_times_s(mix: LoadMix) -> list[float]:
    """Return the seconds after the start at which each request is sent, ascending.

    The intervals follow a gamma distribution, of mean 1 / request_rate. As in vLLM the times are then scaled
    so that the last request is sent at num_prompts / request_rate: runs with other seeds compare.
    """
    if mix.request_rate is None:
        return [0.0] * mix.num_prompts
    drawn = random.Random(mix.seed)
    scale_s = 1.0 / (mix.request_rate * mix.burstiness)
    intervals = (drawn.gammavariate(mix.burstiness, scale_s) for _ in range(mix.num_prompts))
    times_s = list(itertools.accumulate(intervals))
    whole_s = mix.num_prompts / mix.request_rate
    # Bursts of a tiny shape can all fall on 0.
    factor = whole_s / times_s[-1] if times_s[-1] > 0 else 0.0
    return [time_s * factor for time_s in times_s]
