"""An order with other replicas of the same layout. Pure. Controllers import it: it needs no search."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from cluster.deploy.predicted import Predicted
from cluster.deploy.spec import DeploymentSpec
from cluster.errors import BadInput
from cluster.planner.result import Band


def replicas_of(spec: DeploymentSpec) -> tuple[int, ...]:
    """Return the numbers of an order's replicas, in order. They are names: some may be left out."""
    return tuple(sorted({place.replica for place in spec.ranks}))


def check_scalable(spec: DeploymentSpec, num_replicas: int) -> None:
    """Raise BadInput for a deployment whose replicas are not independent, and for less than one replica."""
    if spec.layout.dp_attention:
        raise BadInput(
            f"{spec.name} runs {spec.label}: its attention replicas are one engine, whose size is fixed when "
            "it starts",
            "Stop it and deploy it with another --dp",
        )
    if num_replicas < 1:
        raise BadInput(
            f"{spec.name} cannot run {num_replicas} replicas", f"To end it: clusterview stop {spec.name}"
        )


def without_replicas(spec: DeploymentSpec, ended: Collection[int]) -> DeploymentSpec:
    """Return the order without these replicas; raises BadInput when none would be left."""
    ranks = tuple(place for place in spec.ranks if place.replica not in ended)
    left = len({place.replica for place in ranks})
    check_scalable(spec, left)
    return resized(spec.model_copy(update={"ranks": ranks}), left)


def resized(spec: DeploymentSpec, num_replicas: int) -> DeploymentSpec:
    """Return the order with this DP degree and the prediction for it; figures per replica stay."""
    factor = num_replicas / spec.layout.num_replicas
    update = {
        "layout": replace(spec.layout, dp=num_replicas),
        "predicted_tokens_per_s": _times(spec.predicted_tokens_per_s, factor),
        "predicted": _predicted(spec.predicted, factor),
    }
    return spec.model_copy(update=update)


def _predicted(predicted: Predicted, factor: float) -> Predicted:
    band, requests = predicted.throughput_tokens_per_s, predicted.concurrency
    concurrency = None if requests is None else max(1, round(requests * factor))
    update = {"throughput_tokens_per_s": _times(band, factor), "concurrency": concurrency}
    return predicted.model_copy(update=update)


def _times(band: Band | None, factor: float) -> Band | None:
    return None if band is None else Band(band.value * factor, band.low * factor, band.high * factor)
