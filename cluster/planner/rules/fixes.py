"""The nearest change that makes a refused layout valid."""

from __future__ import annotations

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.layout import Layout
from cluster.planner.rules.divisibility import split_problems
from cluster.planner.rules.problem import Problem


def split_fix(model: ModelSpec, layout: Layout, engine: EngineProfile, problem: Problem) -> str:
    """Return the nearest degrees without any shape problem, same GPUs first: 'TP=4, or TP=4 x PP=2'."""
    if problem.rule == "experts_not_divisible":
        return _expert_fix(model, layout)
    ways = []
    tp = nearest_valid_tp(model, layout, engine)
    if tp is not None:
        ways.append(f"TP={tp}")
        pp, rest = divmod(layout.tp * layout.pp, tp)
        if pp > layout.pp and not rest and pp <= model.num_layers and _has_pp(model, engine):
            ways.append(f"TP={tp} x PP={pp}")
    if problem.expert and engine.supports_ep and model.num_experts % layout.tp == 0:
        ways.append(f"expert parallelism (TP={layout.tp}, EP={layout.tp})")
    return ", or ".join(ways) or "an unquantised variant of the model"


def nearest_valid_tp(
    model: ModelSpec, layout: Layout, engine: EngineProfile, above: bool = False
) -> int | None:
    """Return the largest smaller (or, `above`, smallest larger) TP that divides every shape of the model."""
    candidates = range(layout.tp + 1, 4 * layout.tp + 1) if above else range(layout.tp - 1, 0, -1)
    for tp in candidates:
        if not split_problems(model, Layout(tp=tp), engine):
            return tp
    return None


def _has_pp(model: ModelSpec, engine: EngineProfile) -> bool:
    return model.supports_pp and engine.supports_pp


def _expert_fix(model: ModelSpec, layout: Layout) -> str:
    fitting = [ep for ep in range(layout.ep - 1, 1, -1) if model.num_experts % ep == 0]
    return f"EP={fitting[0]}, or EP=1" if fitting else "EP=1"
