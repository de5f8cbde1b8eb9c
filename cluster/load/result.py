"""What a load test measured, beside what was predicted for its mix. Kept for `clusterview report`."""

from __future__ import annotations

from typing import Literal

from cluster.deploy.engine_in_use import EngineInUse
from cluster.deploy.plan_fields import BandField, LayoutField
from cluster.frozen import FromAnyVersion
from cluster.load.mix import LoadMix
from cluster.text import CleanStr

Basis = Literal["planned for this mix", "plan of the deployment"]


class Spread(FromAnyVersion):
    """A figure over `count` answered requests, in seconds; further percentiles by name, such as p95."""

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    more: dict[CleanStr, float] = {}


class LoadPrediction(FromAnyVersion):
    """What the planner says of a mix on the layout that runs."""

    basis: Basis
    engine: CleanStr = ""
    """Name and version of the engine that it was predicted for."""
    input_tokens: int
    output_tokens: int
    concurrency: float | None = None
    """Requests in flight that the figures are for; None: as many as fit."""
    overloaded: bool = False
    """The request rate is more than the layout can serve: the figures are those at its capacity."""
    throughput_tokens_per_s: BandField | None = None
    ttft_s: BandField | None = None
    tpot_s: BandField | None = None
    e2e_s: float | None = None
    """From a request's arrival to its last token."""


class LoadResult(FromAnyVersion):
    """One load test. Times in seconds; of answered requests only."""

    name: CleanStr
    """Of the deployment, or the URL where none was named."""
    cluster: CleanStr = ""
    """Title of the deployment's cluster."""
    model: CleanStr
    label: CleanStr = ""
    layout: LayoutField | None = None
    engine: EngineInUse | None = None
    simulated: bool = False
    endpoint: CleanStr
    """Base URL that the requests were sent to, without /v1."""
    began_at_s: float
    """Unix time."""
    duration_s: float
    """From the first request to the last answer."""
    interrupted: bool = False
    mix: LoadMix
    prompts: CleanStr = ""
    """What the prompts were made of."""
    requests_done: int
    requests_failed: int = 0
    requests_cut_off: int = 0
    """In flight when the test was interrupted."""
    failures: dict[CleanStr, int] = {}
    """Reason -> number of requests."""
    input_tokens: int = 0
    output_tokens: int = 0
    output_tokens_per_s: float = 0.0
    requests_per_s: float = 0.0
    mean_in_flight: float = 0.0
    peak_in_flight: int = 0
    ttft_s: Spread | None = None
    """Time to first token; None: nothing was answered."""
    tpot_s: Spread | None = None
    """Time per output token after the first; None: no answer had two tokens."""
    itl_s: Spread | None = None
    """Time between chunks of an answer."""
    e2e_s: Spread | None = None
    predicted: LoadPrediction | None = None
    not_predicted: CleanStr = ""
    """Why there is no prediction."""

    def error_of(self, figure: Literal["throughput", "ttft", "tpot", "e2e"]) -> float | None:
        """Return measured / predicted - 1 of a mean; None where it has no meaning.

        A simulated cluster runs a small stand-in on the CPU, and the prediction is of the planned model.
        """
        predicted = self.predicted
        if predicted is None or self.simulated:
            return None
        pairs = {
            "throughput": (predicted.throughput_tokens_per_s, self.output_tokens_per_s),
            "ttft": (predicted.ttft_s, self.ttft_s and self.ttft_s.mean),
            "tpot": (predicted.tpot_s, self.tpot_s and self.tpot_s.mean),
            "e2e": (predicted.e2e_s, self.e2e_s and self.e2e_s.mean),
        }
        value, measured = pairs[figure]
        if value is None or not measured:
            return None
        planned = value if isinstance(value, float) else value.value
        return measured / planned - 1 if planned else None
