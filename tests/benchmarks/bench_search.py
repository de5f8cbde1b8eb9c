"""The planner's search in this process: small and huge clusters, and growth with the number of nodes."""

from __future__ import annotations

from cluster.catalog.models import load_model
from cluster.cluster_spec import parse_cluster_spec
from cluster.planner.plan import plan
from cluster.planner.request import PlanRequest
from tests.benchmarks.timing import median_s

CASES = (
    ("llama-3.1-70b", "2x4xA100-80GB", None, 0.030),
    ("llama-3.1-405b", "1250x8xH100", None, 1.0),
    ("deepseek-ai/DeepSeek-V3", "1250x8xH100", None, 1.0),
    ("deepseek-ai/DeepSeek-V3", "1250x8xH100", 16, 1.0),
)
"""Model, cluster, pinned TP (one over nodes), target in seconds."""


def main() -> None:
    """Print each search's time and target, and the growth from 125 to 1,250 equal nodes."""
    for model, spec, tp, target_s in CASES:
        pinned = f" with TP={tp}" if tp else ""
        found_s = search_s(model, spec, tp)
        print(f"{model} on {spec}{pinned}: {found_s * 1e3:.1f} ms  (target {target_s * 1e3:.0f} ms)")
    small_s, large_s = (search_s("llama-3.1-405b", f"{n}x8xH100") for n in (125, 1250))
    print(f"10 x the nodes, one node shape: {large_s / small_s:.2f} x the time  (target about 1)")


def search_s(model_name: str, spec: str, tp: int | None = None) -> float:
    """Return the median seconds of one full search."""
    cluster, model = parse_cluster_spec(spec), load_model(model_name)
    return median_s(lambda: plan(cluster, model, PlanRequest(tp=tp)), runs=5)


if __name__ == "__main__":
    main()
