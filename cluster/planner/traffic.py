"""The traffic that a layout is planned for: request lengths, concurrency and latency limits."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.catalog.model_spec import ModelSpec
from cluster.planner.request import Objective, PlanRequest


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of a typical request."""

    input_tokens: int
    output_tokens: int

    @property
    def total(self) -> int:
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Traffic:
    """A steady stream of requests of one length, and its latency limits."""

    lengths: Lengths
    concurrency: int | None = None
    """Requests in flight in the whole layout; None: as many as KV cache and max_num_seqs allow."""
    objective: Objective = "throughput"
    ttft_s: float | None = None
    tpot_s: float | None = None


def traffic_of(request: PlanRequest, lengths: Lengths) -> Traffic:
    """Return the traffic of a plan request, at these lengths."""
    return Traffic(lengths, request.concurrency, request.objective, request.ttft_s, request.tpot_s)


def fit_lengths(request: PlanRequest, model: ModelSpec) -> tuple[Lengths, tuple[str, ...]]:
    """Return the requested lengths, scaled down to fit one sequence if needed, and a note if they were."""
    lengths = Lengths(request.input_tokens, request.output_tokens)
    longest = request.max_model_len or model.max_position
    if request.workload == "training" or longest < 2 or lengths.total <= longest:
        return lengths, ()
    tokens_in = min(longest - 1, max(1, lengths.input_tokens * longest // lengths.total))
    cut = Lengths(tokens_in, longest - tokens_in)
    note = (
        f"{lengths.input_tokens:,} + {lengths.output_tokens:,} tokens exceed the longest sequence: "
        f"planned for {cut.input_tokens:,} in, {cut.output_tokens:,} out"
    )
    return cut, (note,)
