"""The built-in engine as plain processes, one per GPU: what the plan predicts, beside what is measured."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from cluster.calibration.apply import with_calibrations
from cluster.catalog.models import load_model
from cluster.deploy.order import OrderTerms, make_order
from cluster.deploy.spec import DeploymentSpec
from cluster.inventory import Cluster
from cluster.planner.plan import plan
from cluster.planner.request import PlanRequest
from cluster.planner.result import Band, Estimate
from tests.gpu.alone.machine import Machine
from tests.gpu.alone.ranks import Measured, RequestShape, run_ranks

NUM_SEQS = 16
LENGTH = 2048
SHAPE = RequestShape(input_tokens=512, output_tokens=128, concurrency=NUM_SEQS)
SHAPE_ON_CPU = RequestShape(input_tokens=16, output_tokens=8, concurrency=4)


def check_engine(machine: Machine) -> dict[str, Any]:
    """Plan the model for this machine, run the recommended replica with dummy weights, compare.

    With a calibration, the figures are also those of a plan that uses what was measured.
    """
    shape = SHAPE_ON_CPU if machine.on_cpu else SHAPE
    spec, _ = _planned(machine.cluster, machine, shape, concurrency=shape.concurrency)
    measured = run_ranks(spec, shape)
    calibrated = with_calibrations(machine.cluster, machine.calibrations)
    compared = {"as_published": machine.cluster, "as_calibrated": calibrated}
    return {
        "model": machine.model,
        "layout": spec.label,
        "weights": spec.model.weights,
        "scale": spec.model.scale,
        "requests": asdict(shape),
        "figures": {}
        if machine.on_cpu
        else {name: _figures(cluster, machine, shape, measured) for name, cluster in compared.items()},
        "measured": asdict(measured),
    }


def _figures(cluster: Cluster, machine: Machine, shape: RequestShape, measured: Measured) -> dict[str, Any]:
    """Return each figure as predicted and as measured."""
    _, alone = _planned(cluster, machine, shape, concurrency=1)
    spec, full = _planned(cluster, machine, shape, concurrency=shape.concurrency)
    planned_bytes = max(place.planned_bytes or 0 for place in spec.ranks)
    return {
        "memory_bytes": _row(planned_bytes, measured.memory_bytes),
        "ttft_s": _row(alone.ttft_s, measured.ttft_s),
        "tpot_s": _row(alone.tpot_s, measured.tpot_s),
        "throughput_tokens_per_s": _row(full.throughput_tokens_per_s, measured.tokens_per_s),
    }


def _planned(
    cluster: Cluster, machine: Machine, shape: RequestShape, *, concurrency: int
) -> tuple[DeploymentSpec, Estimate]:
    """Return the order for the recommended layout and what the plan says of its speed."""
    request = PlanRequest(
        dp=1,
        pp=1,
        max_model_len=LENGTH,
        max_num_seqs=NUM_SEQS,
        engine="builtin",
        load_format="dummy",
        input_tokens=shape.input_tokens,
        output_tokens=shape.output_tokens,
        concurrency=concurrency,
    )
    answer = plan(cluster, load_model(machine.model), request)
    best = answer.recommended
    if best is None or best.estimate is None:
        raise RuntimeError(f"{machine.model} does not fit here: {answer.advice}")
    return make_order(answer, best, OrderTerms(time.time(), name="gpu-check")), best.estimate


def _row(predicted: Band | int | None, measured: float | None) -> dict[str, Any]:
    """Return both figures and the error, measured / predicted - 1."""
    value = predicted.value if isinstance(predicted, Band) else predicted
    band = {"low": predicted.low, "high": predicted.high} if isinstance(predicted, Band) else {}
    error = None if not value or measured is None else round(measured / value - 1, 4)
    return {"predicted": value, **band, "measured": measured, "error": error}
