"""Which model a deployment really runs: the checkpoint, dummy weights of its shapes, or a scaled stand-in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.deploy.spec import FULL_SIZE, ModelSource
from cluster.errors import BadInput
from cluster.planner.request import LoadFormat
from cluster.planner.result import Plan
from cluster.units import GIB

LARGEST_ON_CPU_BYTES = 1 * GIB
"""A checkpoint up to this size runs as it is on a simulated cluster; a larger one is scaled down."""
_DUMMY: LoadFormat = "dummy"


@dataclass(frozen=True, slots=True)
class RunningModel:
    """What the ranks load, and the longest sequence that it takes."""

    source: ModelSource
    max_position: int
    has_planned_layers: bool
    """It has the layers that were planned; a scaled stand-in has fewer."""


def choose_model(plan: Plan, model_path: str | None, tp: int, pp: int, *, simulated: bool) -> RunningModel:
    """Return what runs for this plan; raises BadInput for a model that the built-in engine does not run.

    `model_path` is the folder or file that the user named, None for a name. On real GPUs the weights are a
    checkpoint's unless dummy ones were asked for.
    """
    from cluster.runtime.config import read_model_config

    config = _config_of(plan, model_path)
    source = _stand_in(plan, model_path, config, tp, pp) if simulated else _real(plan, model_path, config)
    checked = read_model_config(source.config)
    return RunningModel(source, checked.max_position, checked.num_layers == plan.model.num_layers)


def path_named(model: str | None) -> str | None:
    """Return what a user typed for a model where it is a folder or a file on this machine, else None."""
    from cluster.catalog.models.folder import find_config_file

    return model if model and find_config_file(model) is not None else None


def _stand_in(plan: Plan, model_path: str | None, config: Mapping[str, Any], tp: int, pp: int) -> ModelSource:
    """Return the checkpoint where it is small enough for the CPU, else a scaled model with dummy weights."""
    from cluster.runtime.scale import scale_config

    folder = _folder_with_weights(model_path)
    fits = folder is not None and plan.model.weights_bytes <= LARGEST_ON_CPU_BYTES
    if fits and plan.request.load_format != _DUMMY:
        return ModelSource(name=plan.model.name, path=folder, config=dict(config), scale=FULL_SIZE)
    if plan.request.load_format == "safetensors":
        raise BadInput(
            f"a simulated cluster runs a scaled stand-in of {plan.model.name}, whose weights are made up",
            "Leave out --load-format safetensors; a checkpoint folder of up to 1 GiB runs as it is",
        )
    scaled, scale = scale_config(plan.model, tp, pp)
    return ModelSource(name=plan.model.name, config=scaled, scale=scale)


def _real(plan: Plan, model_path: str | None, config: Mapping[str, Any]) -> ModelSource:
    """Return the model as planned: from a folder or the nodes' hub caches, or made up where asked for."""
    from cluster.catalog.models.hub import is_hub_id

    name = plan.model.name
    if plan.model.quantization is not None and "quantization_config" not in config:
        raise BadInput(
            f"{name} is planned with {plan.model.quantization.method} weights, which the built-in engine "
            "does not run",
            "Deploy the unquantized model, or plan with --dry-run",
        )
    if plan.request.load_format == _DUMMY:
        return ModelSource(name=name, config=dict(config))
    if model_path is not None:
        return ModelSource(name=name, path=_folder_of(model_path), config=dict(config))
    if is_hub_id(name):
        return ModelSource(name=name, hub_id=name, config=dict(config))
    raise BadInput(
        f"{name} is not the id of a checkpoint on the hub", "Name its folder, or use --load-format dummy"
    )


def _folder_of(model_path: str) -> str:
    """Return the folder to load from; a config.json stands for its folder, any other file for nothing."""
    path = Path(model_path).expanduser()
    if path.is_file() and path.name != "config.json":
        raise BadInput(
            f"{path.name} describes a model and holds no weights",
            "Name a folder with config.json and safetensors, or use --load-format dummy",
        )
    return os.path.abspath(path.parent if path.is_file() else path)  # noqa: PTH100 (links stay as they are)


def _config_of(plan: Plan, model_path: str | None) -> Mapping[str, Any]:
    from cluster.catalog.models.load import load_config

    return load_config(model_path or plan.model.name)


def _folder_with_weights(model_path: str | None) -> str | None:
    if model_path is None:
        return None
    folder = Path(model_path).expanduser()
    return str(folder.resolve()) if folder.is_dir() and any(folder.glob("*.safetensors")) else None
