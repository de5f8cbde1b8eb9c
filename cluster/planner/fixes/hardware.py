"""Formats, engines and versions that these GPUs run."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.catalog.engine_catalog import engine_names, engine_versions, load_engine
from cluster.planner.fixes.case import Case
from cluster.planner.rules.capability import LONG_NAMES
from cluster.planner.variants import FULL_SIZE, VARIANTS, stored_as


def other_dtype(case: Case) -> Iterator[str]:
    """The first compute dtype that holds."""
    for dtype, flag in LONG_NAMES.items():
        if dtype != case.context.request.dtype and case.holds(dtype=dtype):
            yield f"--dtype {flag}"
            return


def other_weights(case: Case) -> Iterator[str]:
    """The variants of the model, 16-bit ones first, that these GPUs run."""
    model = case.context.model
    for variant in (FULL_SIZE, *VARIANTS):
        if case.holds(model=stored_as(model, variant), quantization=None):
            yield f"{'the' if variant is FULL_SIZE else 'an'} {variant.name} variant of the model"


def other_engine(case: Case) -> Iterator[str]:
    """Another engine that runs the layout as it is."""
    now = case.context.engine
    for name in engine_names():
        engine = load_engine(name)
        if name != now.name and case.holds(engine=engine):
            uneven = " (splits unevenly)" if engine.parallelism.uneven and not now.parallelism.uneven else ""
            yield f"--engine {name}{uneven}"


def other_version(case: Case) -> Iterator[str]:
    """The newest other version of the engine that runs the layout as it is."""
    now = case.context.engine
    for version in engine_versions(now.name):
        if version != now.version and case.holds(engine=load_engine(now.name, version)):
            yield f"--engine-version {version}"
            return
