"""What a plan predicts of a deployment, kept in the order so that it can stand beside what is measured."""

from __future__ import annotations

from cluster.deploy.plan_fields import BandField
from cluster.frozen import FromAnyVersion


class Predicted(FromAnyVersion):
    """Figures of the planned layout at full scale. Bytes are per GPU, of the tightest rank; None: unknown."""

    total_bytes: int | None = None
    weights_bytes: int | None = None
    activation_bytes: int | None = None
    cuda_graph_bytes: int | None = None
    non_torch_bytes: int | None = None
    kv_cache_bytes: int | None = None
    kv_cache_tokens: int | None = None
    """Per replica."""
    max_concurrency: float | None = None
    """Requests of max_model_len that fit one replica's cache."""
    throughput_tokens_per_s: BandField | None = None
    ttft_s: BandField | None = None
    tpot_s: BandField | None = None
    input_tokens: int | None = None
    """Request lengths and concurrency that the three times above are for."""
    output_tokens: int | None = None
    concurrency: int | None = None
