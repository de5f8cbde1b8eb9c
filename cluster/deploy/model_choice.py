"""Which model a deployment really runs: the checkpoint, dummy weights of its shapes, or a scaled stand-in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.deploy.spec import FULL_SIZE, ModelSource
from cluster.planner.result import Plan
from cluster.units import GIB

LARGEST_ON_CPU_BYTES = 1 * GIB
"""A checkpoint up to this size runs as it is on a simulated cluster; a larger one is scaled down."""


@dataclass(frozen=True, slots=True)
class RunningModel:
    """What the ranks load, and the longest sequence that it takes."""

    source: ModelSource
    max_position: int
    has_planned_layers: bool
    """It has the layers that were planned; a scaled stand-in has fewer."""


def choose_model(plan: Plan, model_path: str | None, tp: int, pp: int, *, simulated: bool) -> RunningModel:
    """Return what runs for this plan; raises BadInput for a model that the built-in engine does not run."""
    from cluster.engine.config import read_model_config

    config = _config_of(plan, model_path)
    folder = _folder_with_weights(model_path)
    scale = None
    if simulated and folder is not None and plan.model.weights_bytes <= LARGEST_ON_CPU_BYTES:
        scale = FULL_SIZE
    elif simulated:
        from cluster.engine.scale import scale_config

        folder = None
        config, scale = scale_config(config, tp, pp, plan.model.parameters or None)
    checked = read_model_config(config)
    source = ModelSource(name=plan.model.name, path=folder, config=dict(config), scale=scale)
    return RunningModel(source, checked.max_position, checked.num_layers == plan.model.num_layers)


def _config_of(plan: Plan, model_path: str | None) -> Mapping[str, Any]:
    from cluster.catalog.models.load import load_config

    return load_config(model_path or plan.model.name)


def _folder_with_weights(model_path: str | None) -> str | None:
    if model_path is None:
        return None
    folder = Path(model_path).expanduser()
    return str(folder.resolve()) if folder.is_dir() and any(folder.glob("*.safetensors")) else None
