"""Which other engine runs a split that this one refuses."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.catalog.engine_catalog import engine_names, load_engine
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.layout import Layout
from cluster.planner.rules.divisibility import split_problems
from cluster.planner.rules.engine_features import engine_rejections


def uneven_fix(model: ModelSpec, layout: Layout) -> str:
    """Return '; --engine NAME splits unevenly' for the engines that do; '' where none runs this model so."""
    names = " or ".join(f"--engine {name}" for name in _engines_that_split(model, layout))
    return f"; {names} splits unevenly" if names else ""


def _engines_that_split(model: ModelSpec, layout: Layout) -> Iterator[str]:
    for name in engine_names():
        engine = load_engine(name)
        runs = engine.uneven_heads and not tuple(engine_rejections(model, layout, engine))
        if runs and not split_problems(model, layout, engine):
            yield name
