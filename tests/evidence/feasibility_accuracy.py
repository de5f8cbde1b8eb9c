"""Checks that the planner does not refuse layouts that are published as running."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cluster.catalog.model_spec import ModelSpec
from cluster.cluster_spec import parse_cluster_spec
from cluster.planner.plan import plan
from cluster.planner.result import Plan
from tests.evidence.claims import LENGTH, Claim, Claims
from tests.evidence.models import EvidenceModels
from tests.evidence.rows import read_rows
from tests.evidence.throughput_cases import Planner

_PLAIN = ("bf16", "fp16")
_METHODS = {"fp8": "fp8", "int4": "int4", "nvfp4": "nvfp4", "mxfp4": "mxfp4"}


@dataclass(frozen=True, slots=True)
class Judged:
    """A claim and the planner's answer."""

    claim: Claim
    answer: Plan

    @property
    def refused(self) -> bool:
        return self.answer.recommended is None

    @property
    def why(self) -> str:
        """The first rejection of the layout that comes nearest to fitting."""
        rejections = (rejection for one in self.answer.candidates for rejection in one.rejections)
        return next((f"{one.rule}: {one.message}" for one in rejections), "no layout was judged")


def section(folder: Path) -> list[str]:
    """Return the lines on published layouts that the planner would refuse."""
    judged, unknown = read_judged(folder)
    refused = [one for one in judged if one.refused]
    title = "published layouts that we would refuse"
    return [
        f"Layouts that are published as running, for {LENGTH:,} tokens where no length is stated",
        f"{title:<44} {len(refused)} of {len(judged)}",
        *(f"    {one.claim.title}: {one.why}" for one in refused),
        f"left out, {sum(number for _, number in unknown)}: no config known for "
        + ", ".join(model for model, _ in unknown),
    ]


@lru_cache(maxsize=4)
def read_judged(folder: Path) -> tuple[tuple[Judged, ...], tuple[tuple[str, int], ...]]:
    """Return every distinct claim with the planner's answer, and (model, claims) without a known config."""
    models, reader, judged, unknown = _Models(folder), Claims(folder), [], Counter[str]()
    rows = read_rows(folder, "published_layouts.jsonl")
    for claim in dict.fromkeys(claim for row in rows for claim in reader.read(row)):
        model = models.find(claim)
        if model is None:
            unknown[f"{claim.model} {claim.dtype}"] += 1
        else:
            judged.append(Judged(claim, _answer(claim, model)))
    return tuple(judged), tuple(unknown.most_common())


def _answer(claim: Claim, model: ModelSpec) -> Plan:
    """Return the answer for the first engine that runs it; if none does, for the first engine."""
    cluster = parse_cluster_spec(claim.cluster_spec)
    answers = [plan(cluster, model, request) for request in claim.requests]
    return next((answer for answer in answers if answer.recommended is not None), answers[0])


class _Models:
    """Finds the checkpoint of a claim: by its own name, else its base model in the claimed format."""

    def __init__(self, folder: Path) -> None:
        self._planner, self._models = Planner(folder), EvidenceModels(folder)

    def find(self, claim: Claim) -> ModelSpec | None:
        dtype = claim.dtype.lower()
        own = self._planner.model(claim.model, claim.requests[0].engine, claim.dtype.upper())
        if own is not None and _is_stored_in(own, dtype):
            return own
        if not _name(claim.model).lower().startswith(_name(claim.base).lower()):
            return None
        base = self._models.find(claim.base, quantization=_METHODS.get(dtype))
        return base if base is not None and _is_stored_in(base, dtype) else None


def _name(model: str) -> str:
    return model.rpartition("/")[2]


def _is_stored_in(model: ModelSpec, dtype: str) -> bool:
    """Whether a checkpoint has the format that the claim states."""
    if model.quantization is None:
        return dtype in _PLAIN
    stored = model.quantization.weight_format.name
    return stored.startswith(dtype) or (dtype == "fp4" and stored in ("nvfp4", "mxfp4", "fp4"))
