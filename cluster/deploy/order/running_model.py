"""Which model a deployment runs: the checkpoint, dummy weights of its shapes, or a scaled-down stand-in."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.catalog.model_spec import ModelOrigin
from cluster.deploy.spec import FULL_SIZE, ModelSource
from cluster.errors import BadInput
from cluster.planner.layout import Layout
from cluster.planner.request import LoadFormat
from cluster.planner.result import Plan
from cluster.runtime.config import read_model_config
from cluster.runtime.scale import scale_config
from cluster.units import GIB

LARGEST_ON_CPU_BYTES = 1 * GIB
"""A checkpoint up to this size runs unchanged on a simulated cluster; a larger one is scaled down."""
_DUMMY: LoadFormat = "dummy"


@dataclass(frozen=True, slots=True)
class RunningModel:
    """What the ranks load, and the longest sequence that it takes."""

    source: ModelSource
    max_position: int
    has_planned_layers: bool
    """It has the layers that were planned; a scaled stand-in has fewer."""


def choose_model(plan: Plan, layout: Layout) -> RunningModel:
    """Return what runs for this plan; raises BadInput for a model that the built-in engine does not run.

    Everything comes from the model that the plan carries. On real GPUs the weights are a checkpoint's unless
    dummy ones were asked for.
    """
    origin = plan.model.origin
    if origin is None:
        raise BadInput(f"{plan.model.name} has no known source", "Load it by name, folder or file")
    source = _stand_in(plan, origin, layout) if plan.cluster.simulated else _real(plan, origin)
    checked = read_model_config(source.config)
    return RunningModel(source, checked.max_position, checked.num_layers == plan.model.num_layers)


def _stand_in(plan: Plan, origin: ModelOrigin, layout: Layout) -> ModelSource:
    """Return the checkpoint if it is small enough for the CPU, else a scaled-down one with dummy weights."""
    name, config = plan.model.name, origin.config
    fits = origin.has_weights and plan.model.weights_bytes <= LARGEST_ON_CPU_BYTES
    if fits and plan.request.load_format != _DUMMY:
        return ModelSource(name=name, path=origin.folder, config=dict(config), scale=FULL_SIZE)
    if plan.request.load_format == "safetensors":
        raise BadInput(
            f"a simulated cluster runs a scaled-down stand-in of {name} with dummy weights",
            "Leave out --load-format safetensors; a checkpoint folder of up to 1 GiB runs unchanged",
        )
    scaled, scale = scale_config(plan.model, layout.tp, layout.pp)
    return ModelSource(name=name, config=scaled, scale=scale)


def _real(plan: Plan, origin: ModelOrigin) -> ModelSource:
    """Return the model as planned: from a folder or the nodes' hub caches, or dummy if requested."""
    name, config = plan.model.name, dict(origin.config)
    if plan.request.load_format == _DUMMY:
        return ModelSource(name=name, config=config)
    if origin.folder is not None:
        return ModelSource(name=name, path=origin.folder, config=config)
    if origin.hub_id is not None:
        return ModelSource(name=name, hub_id=origin.hub_id, config=config)
    raise BadInput(
        f"{origin.config_file or name} has a config but no weights",
        "Name a folder with config.json and safetensors, or use --load-format dummy",
    )
